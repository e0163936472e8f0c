//! Which traces are kept.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Keeps what the sampler keeps, and what links to something that is kept.
///
/// A batch of events that belong to several traces begins a trace of its own, which theirs lead to. Were it kept by chance, most of those
/// ways would lead nowhere.
#[derive(Debug, Clone)]
pub(crate) struct Linked(pub(crate) Sampler);

// === impl Linked ===

impl ShouldSample for Linked {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let result = self.0.should_sample(parent, trace_id, name, kind, attributes, links);
        if !has_parent && links.iter().any(|link| link.span_context.is_sampled()) {
            return SamplingResult { decision: SamplingDecision::RecordAndSample, ..result };
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    fn is_kept(links: &[TraceFlags], parent: Option<TraceFlags>) -> bool {
        let context = |flags| {
            SpanContext::new(TraceId::from(7_u128), SpanId::from(7_u64), flags, true, TraceState::default())
        };
        let links: Vec<Link> = links.iter().map(|flags| Link::with_context(context(*flags))).collect();
        let parent = parent.map(|flags| Context::new().with_remote_span_context(context(flags)));
        let sampler = Linked(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
        let id = TraceId::from(8_u128);
        let result = sampler.should_sample(parent.as_ref(), id, "process", &SpanKind::Consumer, &[], &links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn what_links_to_a_kept_trace_is_kept() {
        assert!(is_kept(&[TraceFlags::default(), TraceFlags::SAMPLED], None));
        assert!(!is_kept(&[TraceFlags::default()], None));
        assert!(!is_kept(&[], None));
    }

    #[test]
    fn a_parent_decides_for_its_children() {
        assert!(is_kept(&[], Some(TraceFlags::SAMPLED)));
        assert!(!is_kept(&[TraceFlags::SAMPLED], Some(TraceFlags::default())));
    }
}
