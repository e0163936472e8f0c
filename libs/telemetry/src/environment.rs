//! The `OTEL_*` variables that the SDK leaves to its users.
//!
//! The SDK reads where a collector is and how it is spoken to. What is left is whether to speak at all (`OTEL_SDK_DISABLED`,
//! `OTEL_*_EXPORTER`), what crosses a call (`OTEL_PROPAGATORS`), and the sampler, which we wrap. Values that cannot be had are refused by
//! name: a process that is silent for a misspelt word is found out when its traces are needed.

use opentelemetry_sdk::trace::Sampler;

use crate::TelemetryError;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Traces over OTLP.
    pub(crate) traces: bool,
    /// Metrics over OTLP.
    pub(crate) metrics: bool,
    /// Metrics for Prometheus.
    pub(crate) prometheus: bool,
    /// Logs over OTLP, besides standard error.
    pub(crate) logs: bool,
    /// The W3C trace context crosses calls and topics.
    pub(crate) propagates: bool,
    /// Propagators that are not known here, and left out.
    pub(crate) unknown_propagators: Vec<String>,
    pub(crate) sampler: Sampler,
}

/// What the variables ask for; `get` answers one that is set and not empty.
pub(crate) fn read(get: impl Fn(&str) -> Option<String>, ratio: f64) -> Result<Wishes, TelemetryError> {
    let is_disabled = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let traces = exporters(&get, "TRACES", &["otlp"], true)?;
    let metrics = exporters(&get, "METRICS", &["otlp", "prometheus"], true)?;
    let logs = exporters(&get, "LOGS", &["otlp"], false)?;
    let otlp = |chosen: &[String]| !is_disabled && chosen.iter().any(|name| name == "otlp");
    let wishes = Wishes {
        traces: otlp(&traces),
        metrics: otlp(&metrics),
        // It is there to be asked and sends nothing, so it takes no wish, only the absence of a refusal.
        prometheus: !is_disabled && get("OTEL_METRICS_EXPORTER").is_none_or(|value| value != "none"),
        logs: otlp(&logs),
        propagates: true,
        unknown_propagators: Vec::new(),
        sampler: sampler(&get, ratio)?,
    };
    for (signal, is_wanted) in [("TRACES", wishes.traces), ("METRICS", wishes.metrics), ("LOGS", wishes.logs)]
    {
        if is_wanted {
            check_protocol(&get, signal)?;
        }
    }
    Ok(with_propagators(wishes, get("OTEL_PROPAGATORS")))
}

/// The exporters of a signal. Where none is named, a collector that is named is a wish for traces and metrics.
fn exporters(
    get: &impl Fn(&str) -> Option<String>,
    signal: &str,
    known: &[&'static str],
    by_endpoint: bool,
) -> Result<Vec<String>, TelemetryError> {
    let variable = format!("OTEL_{signal}_EXPORTER");
    let Some(value) = get(&variable) else {
        let endpoint = get("OTEL_EXPORTER_OTLP_ENDPOINT")
            .or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")));
        return Ok(endpoint.filter(|_| by_endpoint).map(|_| "otlp".to_owned()).into_iter().collect());
    };
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    let is_known = |name: &String| name == "none" || known.contains(&name.as_str());
    if let Some(value) = names.iter().find(|name| !is_known(name)) {
        let takes = format!("none or {}", known.join(", "));
        return Err(TelemetryError::Variable { variable, value: value.clone(), takes });
    }
    Ok(names)
}

fn check_protocol(get: &impl Fn(&str) -> Option<String>, signal: &str) -> Result<(), TelemetryError> {
    for variable in
        [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()]
    {
        if let Some(value) = get(&variable) {
            let takes = "grpc".to_owned();
            let is_grpc = value == takes;
            return if is_grpc { Ok(()) } else { Err(TelemetryError::Variable { variable, value, takes }) };
        }
    }
    Ok(())
}

fn with_propagators(wishes: Wishes, value: Option<String>) -> Wishes {
    let Some(value) = value else { return wishes };
    let names = || value.split(',').map(str::trim);
    // Baggage is whatever a caller puts in it, names too, so none is passed on; asking for it is no mistake.
    let is_known = |name: &&str| matches!(*name, "tracecontext" | "baggage" | "none");
    Wishes {
        propagates: names().any(|name| name == "tracecontext"),
        unknown_propagators: names().filter(|name| !is_known(name)).map(str::to_owned).collect(),
        ..wishes
    }
}

/// Parent-based unless the variable says otherwise: whoever began a trace decides whether it is kept, or it would have holes.
fn sampler(get: &impl Fn(&str) -> Option<String>, ratio: f64) -> Result<Sampler, TelemetryError> {
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    let wrong = |variable: &str, value: String, takes: &str| TelemetryError::Variable {
        variable: variable.to_owned(),
        value,
        takes: takes.to_owned(),
    };
    let is_share = |ratio: &f64| (0.0..=1.0).contains(ratio);
    if !is_share(&ratio) {
        return Err(wrong("telemetry.sample_ratio", ratio.to_string(), "a number from 0 to 1"));
    }
    let ratio = match get("OTEL_TRACES_SAMPLER_ARG") {
        None => ratio,
        Some(text) => match text.parse::<f64>().ok().filter(is_share) {
            Some(ratio) => ratio,
            None => return Err(wrong("OTEL_TRACES_SAMPLER_ARG", text, "a number from 0 to 1")),
        },
    };
    let Some(name) = get("OTEL_TRACES_SAMPLER") else {
        return Ok(by_parent(Sampler::TraceIdRatioBased(ratio)));
    };
    Ok(match name.as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        "parentbased_always_on" => by_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => by_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => by_parent(Sampler::TraceIdRatioBased(ratio)),
        _ => {
            let takes = "always_on, always_off, traceidratio, or one of them after parentbased_";
            return Err(wrong("OTEL_TRACES_SAMPLER", name, takes));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Wishes, TelemetryError> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        read(get, 0.25)
    }

    #[test]
    fn nothing_is_sent_where_nothing_is_asked_for() {
        let wishes = with(&[]).unwrap();
        assert!(!wishes.traces && !wishes.metrics && !wishes.logs);
        assert!(wishes.prometheus && wishes.propagates);
        assert_eq!(format!("{:?}", wishes.sampler), "ParentBased(TraceIdRatioBased(0.25))");
    }

    #[test]
    fn a_collector_gets_traces_and_metrics_and_logs_where_they_are_asked_for() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        let wishes = with(&[endpoint]).unwrap();
        assert!(wishes.traces && wishes.metrics && !wishes.logs);
        let wishes = with(&[endpoint, ("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "none")]);
        let wishes = wishes.unwrap();
        assert!(wishes.traces && !wishes.metrics && wishes.logs && !wishes.prometheus);
        let wishes = with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4317")]).unwrap();
        assert!(wishes.traces && !wishes.metrics);
        assert!(with(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap().traces, "the default address");
        let wishes = with(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus")]).unwrap();
        assert!(!wishes.metrics && wishes.prometheus);
    }

    #[test]
    fn disabled_means_everything() {
        let disabled = with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_SDK_DISABLED", "TRUE"),
        ])
        .unwrap();
        assert!(!disabled.traces && !disabled.metrics && !disabled.logs && !disabled.prometheus);
        assert!(disabled.propagates);
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        for (variable, value) in [
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let error = with(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains(value), "{error}");
        }
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        assert!(with(&[http]).is_ok(), "nothing is sent");
        let error = with(&[http, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")]).unwrap_err();
        assert!(error.to_string().contains("grpc"), "{error}");
        assert!(read(|_| None, 1.5).unwrap_err().to_string().contains("sample_ratio"));
    }

    #[test]
    fn samplers_and_propagators_follow_their_variables() {
        let half =
            with(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
        assert_eq!(format!("{:?}", half.unwrap().sampler), "ParentBased(TraceIdRatioBased(0.5))");
        let off = with(&[("OTEL_TRACES_SAMPLER", "always_off")]).unwrap();
        assert_eq!(format!("{:?}", off.sampler), "AlwaysOff");
        assert!(!with(&[("OTEL_PROPAGATORS", "none")]).unwrap().propagates);
        let wishes = with(&[("OTEL_PROPAGATORS", "tracecontext,baggage,b3")]).unwrap();
        assert!(wishes.propagates);
        assert_eq!(wishes.unknown_propagators, ["b3"]);
    }
}
