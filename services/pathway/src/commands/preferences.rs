//! `pathway preferences`: what a user wants to be told, and where.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    ConfirmEmailRequest, DeliveryMode, GetPreferencesRequest, Preference, Preferences as Said,
    PreviewNoticeRequest, QuietHours, UnsubscribeEmailRequest, UpdatePreferencesRequest,
};
use serde_json::{Value, json};

use super::notifications::facts;
use crate::cli::{EmailToken, Mode, PreferenceAction, PreferenceSet, Preferences, Preview};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Preferences) -> Result<ExitCode, Fault> {
    match args.action {
        // The grammar asks for the user where there is no verb.
        None => show(mesh, out, args.user.unwrap_or_default()).await,
        Some(PreferenceAction::Set(set)) => change(mesh, out, set).await,
        Some(PreferenceAction::Confirm(EmailToken { token, user })) => {
            let message = ConfirmEmailRequest { user_id: user, token };
            let email = answer(mesh.preferences.clone().confirm_email(request(message)).await)?.email;
            out.answer(&json!({"email": email}), || format!("e-mail goes to {email} from now on"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(PreferenceAction::Unsubscribe(EmailToken { token, user })) => {
            let message = UnsubscribeEmailRequest { user_id: user, token };
            answer(mesh.preferences.clone().unsubscribe_email(request(message)).await)?;
            out.answer(&json!({"email": ""}), || "no e-mail goes out any more".to_owned())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(PreferenceAction::Preview(preview)) => show_preview(mesh, out, preview).await,
    }
}

async fn show(mesh: &Mesh, out: &Output, user_id: String) -> Result<ExitCode, Fault> {
    let message = GetPreferencesRequest { user_id };
    let found = answer(mesh.preferences.clone().get_preferences(request(message)).await)?;
    let said = found.preferences.unwrap_or_default();
    let mut json = document(&said);
    json["effective"] = found.effective.iter().map(rule).collect();
    out.answer(&json, || format!("{}\n\n{}", settings(&said), grid(&found.effective)))?;
    Ok(ExitCode::SUCCESS)
}

async fn change(mesh: &Mesh, out: &Output, set: PreferenceSet) -> Result<ExitCode, Fault> {
    let rules = set.rules.into_iter().map(|rule| Preference {
        r#type: rule.kind,
        channel: rule.channel,
        mode: match rule.mode {
            None => DeliveryMode::Unspecified,
            Some(Mode::Off) => DeliveryMode::Off,
            Some(Mode::Immediate) => DeliveryMode::Immediate,
            Some(Mode::Hourly) => DeliveryMode::Hourly,
            Some(Mode::Daily) => DeliveryMode::Daily,
        }
        .into(),
        throttle_seconds: set.throttle,
    });
    let message = UpdatePreferencesRequest {
        user_id: set.user,
        locale: set.locale,
        time_zone: set.time_zone,
        quiet_hours: set
            .quiet
            .map(|(begin, end)| QuietHours { begin_minute: begin.into(), end_minute: end.into() }),
        email: set.email.map(|email| if email == "none" { String::new() } else { email }),
        show_amounts: set.show_amounts,
        preferences: rules.collect(),
    };
    let said = answer(mesh.preferences.clone().update_preferences(request(message)).await)?;
    let said = said.preferences.unwrap_or_default();
    out.answer(&document(&said), || settings(&said))?;
    Ok(ExitCode::SUCCESS)
}

async fn show_preview(mesh: &Mesh, out: &Output, preview: Preview) -> Result<ExitCode, Fault> {
    let message = PreviewNoticeRequest {
        r#type: preview.kind,
        metadata: facts(&preview.facts)?,
        locale: preview.locale,
        channel: preview.channel,
        ..PreviewNoticeRequest::default()
    };
    let shown = answer(mesh.preferences.clone().preview_notice(request(message)).await)?;
    let document = json!({
        "title": shown.title, "message": shown.message, "html": shown.html,
        "fallback_reason": shown.fallback_reason,
    });
    out.answer(&document, || {
        let mut text = format!("{}\n{}", shown.title, shown.message);
        if !shown.fallback_reason.is_empty() {
            text.push_str(&format!("\n(not the type's own text: {})", shown.fallback_reason));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn mode(preference: &Preference) -> &'static str {
    match preference.mode() {
        DeliveryMode::Unspecified => "default",
        DeliveryMode::Off => "off",
        DeliveryMode::Immediate => "immediate",
        DeliveryMode::Hourly => "hourly",
        DeliveryMode::Daily => "daily",
    }
}

fn rule(preference: &Preference) -> Value {
    json!({
        "type": preference.r#type, "channel": preference.channel, "mode": mode(preference),
        "throttle_seconds": preference.throttle_seconds,
    })
}

fn document(said: &Said) -> Value {
    let quiet = said
        .quiet_hours
        .map(|hours| json!({"from": time(hours.begin_minute), "until": time(hours.end_minute)}));
    json!({
        "locale": said.locale, "time_zone": said.time_zone, "quiet_hours": quiet, "email": said.email,
        "email_confirmed": said.email_confirmed,
        "show_amounts": said.show_amounts, "rules": said.preferences.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn settings(said: &Said) -> String {
    let quiet = said.quiet_hours.map_or_else(
        || "none".to_owned(),
        |hours| format!("{} to {}", time(hours.begin_minute), time(hours.end_minute)),
    );
    let email = match (said.email.as_str(), said.email_confirmed) {
        ("", _) => "none".to_owned(),
        (email, true) => email.to_owned(),
        (email, false) => format!("{email} (not confirmed: it was sent a question)"),
    };
    let mut text = format!(
        "language {}\ntime zone {}\nquiet hours {quiet}\ne-mail {email}\namounts outside the feed {}",
        said.locale,
        said.time_zone,
        if said.show_amounts { "yes" } else { "no" }
    );
    for preference in &said.preferences {
        text.push_str(&format!("\n{}/{}={}", preference.r#type, preference.channel, mode(preference)));
        if preference.throttle_seconds > 0 {
            text.push_str(&format!(" every {} s at most", preference.throttle_seconds));
        }
    }
    text
}

/// What holds: a row for each type, a column for each channel.
fn grid(effective: &[Preference]) -> String {
    let rows = effective.chunk_by(|a, b| a.r#type == b.r#type).map(|chunk| {
        let channel = |name: &str| {
            chunk.iter().find(|one| one.channel == name).map(mode).unwrap_or_default().to_owned()
        };
        let kind = chunk.first().map(|one| one.r#type.clone()).unwrap_or_default();
        vec![kind, channel("in_app"), channel("email"), channel("push"), channel("webhook")]
    });
    table(&["type", "in_app", "email", "push", "webhook"], &[], rows)
}

fn time(minute: i32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
