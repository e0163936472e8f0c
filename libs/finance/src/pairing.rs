//! Which lines are the two legs of one transfer (G9).
//!
//! Two lines fit where one brings in exactly what the other takes out, in one currency, on different accounts, at most five days apart. The
//! nearest are taken first. Where a line fits two others equally well, nothing is guessed: all of them are a tie, which a person decides, and
//! none of them is given to a line farther away. So the answer depends neither on the order of the lines nor on chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::{CivilDate, Currency};

/// How many days the legs of a transfer may lie apart.
pub const MOST_DAYS_APART: i64 = 5;

/// A line that may be a leg of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The account that it is of.
    pub account: String,
    /// The money that comes in with it, in minor units; negative where it goes out.
    pub inflow: i64,
    /// Its currency.
    pub currency: Currency,
    /// Its day.
    pub date: CivilDate,
}

/// Which lines are pairs, by their places among those that were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairing {
    /// Where the money left, and where it came to.
    pub pairs: Vec<(usize, usize)>,
    /// Lines that fit each other in more than one way.
    pub ties: Vec<Vec<usize>>,
}

// === impl Leg ===

impl Leg {
    /// Whether the other is exactly opposite and of another account, whatever their days. Neither may be zero or lack an account.
    #[must_use]
    pub fn is_opposite(&self, other: &Self) -> bool {
        self.inflow != 0
            && i128::from(self.inflow) == -i128::from(other.inflow)
            && self.currency == other.currency
            && self.account != other.account
            && !self.account.is_empty()
            && !other.account.is_empty()
    }
}

/// Pairs lines, nearest first and one to one. `is_barred` names two that must not be paired, because somebody took them apart.
#[must_use]
pub fn pair_transfers(legs: &[Leg], is_barred: impl Fn(usize, usize) -> bool) -> Pairing {
    let mut fits: Vec<BTreeSet<(usize, usize)>> = vec![BTreeSet::new(); 6];
    for (from, to) in opposites(legs, is_barred) {
        let apart = legs[from].date.epoch_days().abs_diff(legs[to].date.epoch_days());
        if let Some(fits) = usize::try_from(apart).ok().and_then(|apart| fits.get_mut(apart)) {
            fits.insert((from, to));
        }
    }
    let (mut taken, mut pairing) = (BTreeSet::new(), Pairing::default());
    for fits in fits {
        let free = |(from, to): &(usize, usize)| !taken.contains(from) && !taken.contains(to);
        let fits: Vec<(usize, usize)> = fits.into_iter().filter(free).collect();
        for group in groups(&fits) {
            taken.extend(group.iter().copied());
            match *group {
                [a, b] => pairing.pairs.push(if legs[a].inflow < 0 { (a, b) } else { (b, a) }),
                _ => pairing.ties.push(group),
            }
        }
    }
    pairing.pairs.sort_by_key(|(from, to)| (legs[*from].date, *from, *to));
    pairing.ties.sort();
    pairing
}

/// All that fit: where the money left, and where it came to.
fn opposites(legs: &[Leg], is_barred: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let mut by_money: BTreeMap<(&str, i64, i64), Vec<usize>> = BTreeMap::new();
    for (place, leg) in legs.iter().enumerate() {
        by_money.entry((leg.currency.code(), leg.inflow, leg.date.epoch_days())).or_default().push(place);
    }
    let mut found = Vec::new();
    for (from, leg) in legs.iter().enumerate().filter(|(_, leg)| leg.inflow < 0) {
        let (Some(back), day) = (leg.inflow.checked_neg(), leg.date.epoch_days()) else { continue };
        let (code, near) = (leg.currency.code(), day - MOST_DAYS_APART..=day + MOST_DAYS_APART);
        let range = (code, back, *near.start())..=(code, back, *near.end());
        let fitting = by_money.range(range).flat_map(|(_, places)| places.iter().copied());
        found.extend(
            fitting.filter(|to| leg.is_opposite(&legs[*to]) && !is_barred(from, *to)).map(|to| (from, to)),
        );
    }
    found
}

/// The lines that fits connect, each group in order.
fn groups(fits: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut beside: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in fits {
        beside.entry(*from).or_default().push(*to);
        beside.entry(*to).or_default().push(*from);
    }
    let (mut seen, mut groups) = (BTreeSet::new(), Vec::new());
    for start in beside.keys().copied() {
        let (mut group, mut waiting) = (Vec::new(), vec![start]);
        while let Some(place) = waiting.pop() {
            if seen.insert(place) {
                group.push(place);
                waiting.extend(beside.get(&place).into_iter().flatten());
            }
        }
        if !group.is_empty() {
            group.sort_unstable();
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leg(account: &str, inflow: i64, day: i64) -> Leg {
        let currency = Currency::parse("USD").unwrap();
        Leg {
            account: account.to_owned(),
            inflow,
            currency,
            date: CivilDate::from_epoch_days(20_000 + day).unwrap(),
        }
    }

    fn paired(legs: &[Leg]) -> Pairing {
        pair_transfers(legs, |_, _| false)
    }

    #[test]
    fn g09_exactly_opposite_legs_of_two_accounts_are_a_pair() {
        let legs = [leg("savings", 500, 2), leg("checking", -500, 0), leg("checking", -499, 0)];
        assert_eq!(paired(&legs), Pairing { pairs: vec![(1, 0)], ties: vec![] });
        assert_eq!(paired(&[leg("a", -500, 0), leg("a", 500, 0)]), Pairing::default(), "one account");
        assert_eq!(paired(&[leg("a", -500, 0), leg("", 500, 0)]), Pairing::default(), "an unknown account");
        assert_eq!(paired(&[leg("a", 0, 0), leg("b", 0, 0)]), Pairing::default(), "nothing");
    }

    #[test]
    fn g09_legs_lie_at_most_five_days_apart() {
        assert_eq!(paired(&[leg("a", -500, 0), leg("b", 500, 5)]).pairs, [(0, 1)]);
        assert_eq!(paired(&[leg("a", -500, 6), leg("b", 500, 0)]), Pairing::default());
    }

    #[test]
    fn g09_the_nearest_is_taken_first_and_only_once() {
        let legs = [leg("a", -500, 0), leg("b", 500, 1), leg("b", 500, 3), leg("a", -500, 4)];
        assert_eq!(paired(&legs).pairs, [(0, 1), (3, 2)]);
        let legs = [leg("a", -500, 0), leg("b", 500, 1), leg("b", 500, 3)];
        assert_eq!(paired(&legs), Pairing { pairs: vec![(0, 1)], ties: vec![] });
    }

    #[test]
    fn g09_a_tie_is_asked_and_nothing_of_it_is_given_away() {
        let legs = [leg("a", -500, 0), leg("b", 500, 1), leg("c", 500, 1), leg("d", -500, 3)];
        assert_eq!(paired(&legs), Pairing { pairs: vec![], ties: vec![vec![0, 1, 2]] });
    }

    #[test]
    fn g09_what_was_taken_apart_is_not_paired_again() {
        let legs = [leg("a", -500, 0), leg("b", 500, 0), leg("b", 500, 2)];
        let pairing = pair_transfers(&legs, |from, to| (from, to) == (0, 1));
        assert_eq!(pairing.pairs, [(0, 2)]);
    }

    proptest! {
        #[test]
        fn g09_the_order_of_the_lines_is_of_no_matter(
            legs in prop::collection::vec((0..3_usize, prop::sample::select(&[-2_i64, -1, 1, 2][..]), 0..12_i64), 0..20),
        ) {
            let legs: Vec<Leg> = legs.into_iter().map(|(account, inflow, day)| leg(["a", "b", "c"][account], inflow, day)).collect();
            let backwards: Vec<Leg> = legs.iter().rev().cloned().collect();
            let (pairing, mirrored) = (paired(&legs), paired(&backwards));
            let last = legs.len().wrapping_sub(1);
            let mut pairs: Vec<(usize, usize)> = mirrored.pairs.into_iter().map(|(from, to)| (last - from, last - to)).collect();
            pairs.sort_unstable();
            let mut expected = pairing.pairs.clone();
            expected.sort_unstable();
            prop_assert_eq!(pairs, expected);
            let mut used: Vec<usize> = pairing.pairs.iter().flat_map(|(from, to)| [*from, *to]).collect();
            let count = used.len();
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len(), count);
        }
    }
}
