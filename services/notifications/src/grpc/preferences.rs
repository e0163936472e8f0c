//! Preferences and previews.

use jiff::tz::TimeZone;
use pathway_kernel::Check;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::notifications::v1::preferences_service_server::PreferencesService;
use pathway_rpc::{own, status};
use tonic::{Request, Response, Status};

use super::{check_user, refuse};
use crate::notice::{KINDS, Notice, is_name};
use crate::notices::Notices;
use crate::preferences::{ANY, Change, Channel, Mode, Preferences, Rule};
use crate::quiet::Quiet;
use crate::templates::is_locale;
use crate::tokens::Purpose;

/// The most preferences of one call.
const MOST: usize = 256;
/// The longest address, in bytes (RFC 5321).
const LONGEST_ADDRESS: usize = 254;
/// The longest type, in bytes.
const LONGEST_TYPE: usize = 512;
/// The longest token, in bytes: one for the longest user id and address.
const LONGEST_TOKEN: usize = 2048;
/// The longest throttle: a month.
const LONGEST_THROTTLE_S: i64 = 31 * 24 * 3600;

#[tonic::async_trait]
impl PreferencesService for Notices {
    async fn get_preferences(
        &self,
        request: Request<api::GetPreferencesRequest>,
    ) -> Result<Response<api::GetPreferencesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        refuse(check_user(&request.user_id))?;
        let preferences = self.store.preferences(request.user_id).await.map_err(status)?;
        let effective = KINDS.iter().flat_map(|kind| {
            Channel::ALL.map(|channel| to_preference(kind, channel, preferences.rule(kind, channel)))
        });
        let effective = effective.collect();
        Ok(Response::new(api::GetPreferencesResponse {
            preferences: Some(to_preferences(&preferences)),
            effective,
        }))
    }

    async fn update_preferences(
        &self,
        request: Request<api::UpdatePreferencesRequest>,
    ) -> Result<Response<api::UpdatePreferencesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let mut check = check_user(&request.user_id);
        let change = change(&request, &mut check);
        refuse(check)?;
        let changed = self.store.update_preferences(request.user_id, change, self.clock.now_us());
        let (preferences, is_asked) = changed.await.map_err(status)?;
        if is_asked {
            self.wake.notify_one();
        }
        Ok(Response::new(api::UpdatePreferencesResponse { preferences: Some(to_preferences(&preferences)) }))
    }

    async fn confirm_email(
        &self,
        request: Request<api::ConfirmEmailRequest>,
    ) -> Result<Response<api::ConfirmEmailResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        refuse(check_token(&request.token))?;
        let confirmed = self.answer_for(&request.user_id, Purpose::Confirm, &request.token);
        let email = confirmed.await.map_err(status)?.email;
        Ok(Response::new(api::ConfirmEmailResponse { email }))
    }

    async fn unsubscribe_email(
        &self,
        request: Request<api::UnsubscribeEmailRequest>,
    ) -> Result<Response<api::UnsubscribeEmailResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        refuse(check_token(&request.token))?;
        self.answer_for(&request.user_id, Purpose::Unsubscribe, &request.token).await.map_err(status)?;
        Ok(Response::new(api::UnsubscribeEmailResponse {}))
    }

    async fn preview_notice(
        &self,
        request: Request<api::PreviewNoticeRequest>,
    ) -> Result<Response<api::PreviewNoticeResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.required("type", &request.r#type, LONGEST_TYPE);
        check.note("type", (!is_name(&request.r#type)).then_some("may have a-z, 0-9 and _ only"));
        let locale = if request.locale.is_empty() { "en" } else { &request.locale };
        check.note("locale", (!is_locale(locale)).then_some("must be en or hi"));
        let channel = match request.channel.as_str() {
            "" => Some(Channel::InApp),
            name => Channel::parse(name).filter(|channel| *channel != Channel::Webhook),
        };
        check.note("channel", channel.is_none().then_some("must be in_app, email or push"));
        refuse(check)?;
        let notice = Notice {
            kind: request.r#type,
            title: request.title,
            message: request.message,
            metadata: request.metadata.into_iter().collect(),
            ..Notice::default()
        };
        let templates = &self.templates;
        let shown = match channel.unwrap_or(Channel::InApp) {
            Channel::Push => templates.outside(&notice, locale, request.show_amounts),
            _ => templates.in_app(&notice, locale),
        };
        let mut answer = api::PreviewNoticeResponse {
            title: shown.title,
            message: shown.message,
            html: String::new(),
            fallback_reason: shown.fallback.unwrap_or_default(),
        };
        if channel == Some(Channel::Email) {
            let mail = templates
                .mail(&[&notice], locale, request.show_amounts)
                .map_err(|error| status(pathway_kernel::Fault::internal(error)))?;
            (answer.title, answer.message, answer.html) = (mail.subject, mail.text, mail.html);
        }
        Ok(Response::new(answer))
    }
}

fn check_token(token: &str) -> Check {
    let mut check = Check::default();
    check.required("token", token, LONGEST_TOKEN);
    check
}

/// The change that is asked for, with everything that is wrong with it noted.
fn change(request: &api::UpdatePreferencesRequest, check: &mut Check) -> Change {
    let locale = request.locale.clone();
    check.note(
        "locale",
        locale.as_ref().is_some_and(|locale| !is_locale(locale)).then_some("must be en or hi"),
    );
    let zone = request.time_zone.as_ref().and_then(|name| {
        let zone = TimeZone::get(name).map_err(|_| "is no IANA time zone, such as Asia/Kolkata");
        check.take("time_zone", zone).map(|zone| (name.clone(), zone))
    });
    if let Some(email) = &request.email {
        check.text("email", email, LONGEST_ADDRESS);
        let is_address = email.is_empty() || email.parse::<lettre::Address>().is_ok();
        check.note("email", (!is_address).then_some("is no e-mail address"));
    }
    check.at_most("preferences", request.preferences.len(), MOST);
    let rules = request.preferences.iter().enumerate();
    Change {
        locale,
        zone,
        quiet: request.quiet_hours.map(|hours| quiet(hours, check)),
        email: request.email.clone(),
        shows_amounts: request.show_amounts,
        rules: rules.filter_map(|(index, preference)| rule(index, preference, check)).collect(),
    }
}

fn quiet(hours: api::QuietHours, check: &mut Check) -> Option<Quiet> {
    for (field, minute) in [("begin_minute", hours.begin_minute), ("end_minute", hours.end_minute)] {
        let is_none = !(0..24 * 60).contains(&minute);
        check.note(
            &format!("quiet_hours.{field}"),
            is_none.then_some("must be a minute of the day, 0 to 1439"),
        );
    }
    Quiet::try_new(hours.begin_minute.into(), hours.end_minute.into())
}

fn rule(
    index: usize,
    preference: &api::Preference,
    check: &mut Check,
) -> Option<((String, Channel), Option<Rule>)> {
    let field = |name| format!("preferences[{index}].{name}");
    check.required(&field("type"), &preference.r#type, LONGEST_TYPE);
    let is_type = preference.r#type == ANY || is_name(&preference.r#type);
    check.note(&field("type"), (!is_type).then_some("may have a-z, 0-9 and _ only, or be *"));
    let unknown = "must be in_app, email, push or webhook";
    let channel = check.take(&field("channel"), Channel::parse(&preference.channel).ok_or(unknown));
    let mode = match preference.mode() {
        api::DeliveryMode::Unspecified => None,
        api::DeliveryMode::Off => Some(Mode::Off),
        api::DeliveryMode::Immediate => Some(Mode::Immediate),
        api::DeliveryMode::Hourly => Some(Mode::Hourly),
        api::DeliveryMode::Daily => Some(Mode::Daily),
    };
    let is_wrong = !(0..=LONGEST_THROTTLE_S).contains(&preference.throttle_seconds);
    check.note(&field("throttle_seconds"), is_wrong.then_some("must lie between 0 and a month"));
    let rule = mode.map(|mode| Rule { mode, throttle_s: preference.throttle_seconds });
    Some(((preference.r#type.clone(), channel?), rule))
}

fn to_preferences(preferences: &Preferences) -> api::Preferences {
    let rules = preferences.rules.iter();
    api::Preferences {
        locale: preferences.locale.clone(),
        time_zone: preferences.zone_name.clone(),
        quiet_hours: preferences.quiet.map(|quiet| api::QuietHours {
            begin_minute: quiet.begin().into(),
            end_minute: quiet.end().into(),
        }),
        email: preferences.email.clone(),
        email_confirmed: preferences.is_email_confirmed,
        show_amounts: preferences.shows_amounts,
        preferences: rules.map(|((kind, channel), rule)| to_preference(kind, *channel, *rule)).collect(),
    }
}

fn to_preference(kind: &str, channel: Channel, rule: Rule) -> api::Preference {
    let mode = match rule.mode {
        Mode::Off => api::DeliveryMode::Off,
        Mode::Immediate => api::DeliveryMode::Immediate,
        Mode::Hourly => api::DeliveryMode::Hourly,
        Mode::Daily => api::DeliveryMode::Daily,
    };
    api::Preference {
        r#type: kind.to_owned(),
        channel: channel.name().to_owned(),
        mode: mode.into(),
        throttle_seconds: rule.throttle_s,
    }
}
