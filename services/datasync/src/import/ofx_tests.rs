use pathway_finance::LineKind;

use super::*;

fn defaults() -> Defaults {
    let currency = Currency::parse("USD").unwrap();
    Defaults { user_id: "u".to_owned(), account: "fallback".to_owned(), currency }
}

fn read_text(text: &str) -> Result<Drafts, StatementError> {
    read(text.as_bytes(), &defaults(), &Mapping::load(None).unwrap())
}

/// A statement in SGML, as a bank writes it, around these transactions.
fn statement(transactions: &str) -> String {
    format!(
        "OFXHEADER:100\nDATA:OFXSGML\n\n<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>CAD\n\
         <BANKACCTFROM><BANKID>1<ACCTID>12 34<ACCTTYPE>CHECKING</BANKACCTFROM>\n<BANKTRANLIST><DTSTART>20090401\n{transactions}\n\
         </BANKTRANLIST><LEDGERBAL><BALAMT>1<DTASOF>20090523</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>"
    )
}

fn only(transaction: &str) -> Draft {
    let drafts = read_text(&statement(&format!("<STMTTRN>{transaction}</STMTTRN>"))).unwrap();
    assert_eq!(drafts.rejected, []);
    drafts.lines.into_iter().next().unwrap()
}

fn reason(transaction: &str) -> String {
    let drafts = read_text(&statement(&format!("<STMTTRN>{transaction}</STMTTRN>"))).unwrap();
    assert!(drafts.lines.is_empty(), "{transaction}");
    assert_eq!(drafts.rejected[0].line, 7);
    drafts.rejected[0].reason.clone()
}

#[test]
fn a_transaction_is_read_with_its_account_and_currency() {
    let draft = only(
        "<TRNTYPE>POS<DTPOSTED>20090401122017.000[-5:EST]<TRNAMT>-6.60<FITID>7<NAME>JOE'S &amp; CO<MEMO>POS",
    );
    assert_eq!((&*draft.account, draft.provider_id.as_deref()), ("12 34", Some("7")));
    let content = draft.content;
    assert_eq!((content.kind, content.amount.to_decimal_string().as_str()), (LineKind::Expense, "6.60"));
    assert_eq!(content.amount.currency().code(), "CAD");
    assert_eq!((&*content.merchant, &*content.description), ("JOE'S & CO", "POS"));
    assert_eq!(content.date.to_string(), "2009-04-01");
    assert_eq!(content.occurred_at_us, 1_238_606_417 * MICROS);
}

#[test]
fn a_posting_date_does_not_move_through_a_zone() {
    for posted in ["20090401", "200904010000", "20090401000000[0:GMT]", "20090401235959.999 [+5.5:IST]"] {
        assert_eq!(parse_date(posted).unwrap().0.to_string(), "2009-04-01", "{posted}");
    }
    for bad in
        ["", "2009", "20090231", "201120000000", "20090401250000", "20090401x", "20090401[x]", "2009040112"]
    {
        assert!(parse_date(bad).is_err(), "{bad}");
    }
}

#[test]
fn amounts_take_a_point_or_a_comma_and_no_separators() {
    let usd = Currency::parse("USD").unwrap();
    for (text, minor) in
        [("-34,51", -3451), ("+34.51", 3451), ("120", 12_000), ("-6.6000", -660), ("-.50", -50)]
    {
        assert_eq!(parse_amount(text, usd).map(Money::minor), Ok(minor), "{text}");
    }
    for bad in ["$120", "1,234.50", "1,234,567", "NaN", "", "6.601", "."] {
        assert!(parse_amount(bad, usd).is_err(), "{bad}");
    }
}

#[test]
fn kinds_follow_type_sign_and_account() {
    let kind = |sort: &str, amount: &str| {
        let content = only(&format!("<TRNTYPE>{sort}<DTPOSTED>20090401<TRNAMT>{amount}<FITID>1")).content;
        (content.kind, content.amount.minor())
    };
    assert_eq!(kind("DIRECTDEP", "10.00"), (LineKind::Income, 1000));
    assert_eq!(kind("INT", "-1.00"), (LineKind::Expense, 100));
    assert_eq!(kind("OTHER", "10.00"), (LineKind::Expense, -1000));
    assert_eq!(kind("XFER", "-10.00"), (LineKind::Transfer, 1000));
    assert_eq!(kind("XFER", "10.00"), (LineKind::Transfer, -1000));
}

#[test]
fn every_problem_of_a_transaction_is_named() {
    let reason = reason("<TRNTYPE>OTHER<DTPOSTED>201120000000<TRNAMT>$120<FITID>2<NAME>Fail1");
    assert!(reason.contains("DTPOSTED") && reason.contains("TRNAMT"), "{reason}");
    assert!(self::reason("<TRNAMT>1.00<FITID>2").contains("DTPOSTED is missing"));
    let foreign = "<DTPOSTED>20090401<TRNAMT>1.00<FITID>2<CURRENCY><CURRATE>1<CURSYM>ZZZZ</CURRENCY>";
    assert!(self::reason(foreign).contains("ZZZZ"));
}

#[test]
fn texts_of_nested_elements_are_not_mistaken() {
    let draft = only(
        "<TRNTYPE>XFER<DTPOSTED>20090401<TRNAMT>-1.00<FITID>1<PAYEE><NAME>Ann<CITY>X</PAYEE>\
         <BANKACCTTO><BANKID>9<ACCTID>99</BANKACCTTO><MEMO><CURRENCY><CURRATE>1.1<CURSYM>EUR</CURRENCY>",
    );
    assert_eq!(
        (&*draft.account, &*draft.content.merchant, &*draft.content.description),
        ("12 34", "Ann", "")
    );
    assert_eq!(draft.content.amount.currency().code(), "EUR");
}

#[test]
fn a_torn_transaction_is_rejected_and_its_neighbours_are_read() {
    let good = "<STMTTRN><DTPOSTED>20090401<TRNAMT>-1.00<FITID>1</STMTTRN>";
    let drafts = read_text(&statement(&format!("<STMTTRN><DTPOSTED>20090401\n{good}"))).unwrap();
    assert_eq!((drafts.lines.len(), drafts.rejected.len()), (1, 1));
    assert!(drafts.rejected[0].reason.contains("not closed"));
    let cut = read_text("<OFX><STMTRS><CURDEF>CAD<BANKTRANLIST><STMTTRN><DTPOSTED>2009").unwrap();
    assert!(cut.rejected[0].reason.contains("cut off"));
}

#[test]
fn what_is_no_statement_is_refused_whole() {
    assert!(matches!(read_text("Date,Amount\n"), Err(StatementError::NotOfx(_))));
    assert!(matches!(read_text("<OFX><INVSTMTRS></INVSTMTRS></OFX>"), Err(StatementError::NotOfx(_))));
    assert!(read_text(&statement("")).unwrap().lines.is_empty());
}
