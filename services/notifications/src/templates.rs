//! The texts of notices, by language and channel.
//!
//! A template may see the notice's facts and nothing else. It runs on a bounded amount of fuel, and a fact that it names and that is missing is an error instead of a
//! hole in a sentence; then the sender's own text stands in for it. So a sender that knows no languages still has its notices read well in each,
//! and one that sends facts nobody has a text for is still read.
//!
//! # What leaves the device (G29)
//! A subject and a push message show on locked screens and in lists that others see, so they carry no amount unless the user wants it: their texts are the type's
//! own, and a sender's title is used only where it has no digit in it.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::notice::{Notice, default_title};

/// The texts; built once.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// What a notice reads like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) title: String,
    pub(crate) message: String,
    /// Why the type's own text was not used; none where it was, or where the sender's comes first.
    pub(crate) fallback: Option<String>,
}

/// An e-mail's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The languages, each with its texts.
const LOCALES: [(&str, &str); 2] =
    [("en", include_str!("../templates/en.toml")), ("hi", include_str!("../templates/hi.toml"))];
const EMAIL: &str = include_str!("../templates/email.html");
/// The type whose texts serve one that has none.
const OTHER: &str = "other";
const DIGEST: &str = "digest";
/// How much a template may do: our own need a few hundred steps.
const FUEL: u64 = 50_000;

/// Whether there are texts in this language.
pub(crate) fn is_locale(locale: &str) -> bool {
    LOCALES.iter().any(|(known, _)| *known == locale)
}

// === impl Templates ===

impl Templates {
    /// Reads the texts that are built in.
    ///
    /// # Errors
    /// What is wrong with them: a defect.
    pub(crate) fn load() -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.add_filter("label", |key: String| key.replace('_', " "));
        for (locale, texts) in LOCALES {
            let texts: BTreeMap<String, BTreeMap<String, String>> =
                toml::from_str(texts).map_err(|error| format!("{locale}: {error}"))?;
            for (kind, parts) in texts {
                for (part, text) in parts {
                    let name = format!("{locale}/{kind}/{part}");
                    environment.add_template_owned(name, text).map_err(|error| error.to_string())?;
                }
            }
        }
        environment.add_template("email.html", EMAIL).map_err(|error| error.to_string())?;
        Ok(Self { environment })
    }

    /// What a notice reads like in the feed. In English the sender's own text comes first; in another language the type's, where its facts are there.
    pub(crate) fn in_app(&self, notice: &Notice, locale: &str) -> Text {
        let is_own = locale == "en";
        if is_own && !notice.title.is_empty() && !notice.message.is_empty() {
            return Text { title: notice.title.clone(), message: notice.message.clone(), fallback: None };
        }
        let message = self.render(locale, &notice.kind, "message", &notice.metadata);
        let (message, fallback) = match message {
            Ok(text) if notice.message.is_empty() || !is_own => (text, None),
            Ok(_) => (notice.message.clone(), None),
            Err(reason) => (notice.message.clone(), Some(reason)),
        };
        let title = match self.render(locale, &notice.kind, "title", &notice.metadata) {
            Ok(text) if notice.title.is_empty() || !is_own => text,
            _ if notice.title.is_empty() => default_title(&notice.kind).to_owned(),
            _ => notice.title.clone(),
        };
        Text { title, message, fallback }
    }

    /// What a notice reads like where others may see it.
    pub(crate) fn outside(&self, notice: &Notice, locale: &str, shows_amounts: bool) -> Text {
        let inside = self.in_app(notice, locale);
        if shows_amounts {
            return inside;
        }
        let own = |part| self.render(locale, &notice.kind, part, &notice.metadata);
        let general = |part| self.render(locale, OTHER, part, &BTreeMap::new()).unwrap_or_default();
        // A type's title and text are ours and have no amounts; a fact that was put into them may.
        let quiet = |text: &String| !has_amount(text);
        let title = Some(inside.title).filter(quiet).or_else(|| own("title").ok().filter(quiet));
        let (message, fallback) = match own("outside") {
            Ok(text) if quiet(&text) => (text, None),
            Ok(_) => (general("outside"), Some("a fact has an amount in it".to_owned())),
            Err(reason) => (general("outside"), Some(reason)),
        };
        Text { title: title.unwrap_or_else(|| general("title")), message, fallback }
    }

    /// The e-mail that tells of some notices. Its text has their amounts, its subject has not.
    ///
    /// # Errors
    /// Where a template fails: a defect.
    pub(crate) fn mail(
        &self,
        notices: &[&Notice],
        locale: &str,
        shows_amounts: bool,
    ) -> Result<Mail, String> {
        let texts: Vec<Text> = notices.iter().map(|notice| self.in_app(notice, locale)).collect();
        let subject = match notices {
            [notice] => self.outside(notice, locale, shows_amounts).title,
            _ => self.render(locale, DIGEST, "title", &BTreeMap::new())?,
        };
        let item = |text: &Text| {
            Value::from_pairs([
                ("title", Value::from(text.title.clone())),
                ("message", Value::from(text.message.clone())),
            ])
        };
        let items: Vec<Value> = texts.iter().map(item).collect();
        let context = Value::from_pairs([
            ("locale", Value::from(locale)),
            ("title", Value::from(subject.clone())),
            ("items", Value::from(items)),
        ]);
        let html = self.environment.get_template("email.html").and_then(|template| template.render(context));
        let paragraphs: Vec<String> = texts
            .iter()
            .map(|text| format!("{}\n{}", text.title, text.message).trim_end().to_owned())
            .collect();
        Ok(Mail {
            subject: one_line(&subject),
            text: paragraphs.join("\n\n") + "\n",
            html: html.map_err(|error| error.to_string())?,
        })
    }

    /// The title and the text of a push message that tells of some notices.
    pub(crate) fn push(&self, notices: &[&Notice], locale: &str, shows_amounts: bool) -> Text {
        match notices {
            [notice] => self.outside(notice, locale, shows_amounts),
            _ => {
                let count = BTreeMap::from([("count".to_owned(), notices.len().to_string())]);
                let part = |part| self.render(locale, DIGEST, part, &count).unwrap_or_default();
                Text { title: part("title"), message: part("message"), fallback: None }
            }
        }
    }

    /// A text of a type, or of those that have none.
    fn render(
        &self,
        locale: &str,
        kind: &str,
        part: &str,
        facts: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let locale = if is_locale(locale) { locale } else { "en" };
        let template = self.environment.get_template(&format!("{locale}/{kind}/{part}"));
        let template =
            template.or_else(|_| self.environment.get_template(&format!("{locale}/{OTHER}/{part}")));
        let facts =
            Value::from_pairs(facts.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));
        let text = template.and_then(|template| template.render(facts)).map_err(|error| error.to_string())?;
        // A type without a text of its own is told in the sender's words.
        if text.is_empty() { Err("the type has no text of its own".to_owned()) } else { Ok(text) }
    }
}

/// Whether a text may carry an amount: it has a digit in it, of any script.
fn has_amount(text: &str) -> bool {
    text.chars().any(char::is_numeric)
}

/// A header has one line.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning() -> Notice {
        let facts = [
            ("category", "eating_out"),
            ("spent", "80.00"),
            ("limit", "100.00"),
            ("currency", "INR"),
            ("percent", "80"),
            ("period", "2026-11"),
        ];
        Notice {
            kind: "budget_warning".to_owned(),
            metadata: facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Notice::default()
        }
    }

    #[test]
    fn every_language_has_every_text() {
        let templates = Templates::load().unwrap();
        let english: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(LOCALES[0].1).unwrap();
        for (locale, texts) in LOCALES {
            let texts: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(texts).unwrap();
            let keys = |texts: &BTreeMap<String, BTreeMap<String, String>>| -> Vec<(String, Vec<String>)> {
                texts.iter().map(|(kind, parts)| (kind.clone(), parts.keys().cloned().collect())).collect()
            };
            assert_eq!(keys(&texts), keys(&english), "{locale}");
            for (kind, parts) in texts {
                assert!(!has_amount(&parts["title"]) && !has_amount(&parts["outside"]), "{locale} {kind}");
                assert!(
                    templates.render(locale, &kind, "title", &BTreeMap::new()).is_ok(),
                    "{locale} {kind}"
                );
            }
        }
    }

    #[test]
    fn the_senders_text_comes_first_in_english_and_the_types_in_hindi() {
        let templates = Templates::load().unwrap();
        let own = Notice { title: "Mine".into(), message: "My text".into(), ..warning() };
        let english = templates.in_app(&own, "en");
        assert_eq!((english.title.as_str(), english.message.as_str()), ("Mine", "My text"));
        let english = templates.in_app(&warning(), "en");
        assert_eq!(english.message, "You have spent 80.00 of 100.00 INR (80%) on eating out in 2026-11.");
        let hindi = templates.in_app(&own, "hi");
        assert_eq!(hindi.title, "बजट चेतावनी");
        assert!(hindi.message.contains("80.00") && hindi.message.contains("eating out"), "{}", hindi.message);
    }

    #[test]
    fn a_missing_fact_leaves_the_senders_text_and_says_so() {
        let templates = Templates::load().unwrap();
        let mut notice = Notice { message: "My text".into(), ..warning() };
        notice.metadata.remove("spent");
        let text = templates.in_app(&notice, "hi");
        assert_eq!((text.title.as_str(), text.message.as_str()), ("बजट चेतावनी", "My text"));
        assert!(text.fallback.is_some());
        let moon = Notice { kind: "moon_phase".into(), message: "Full".into(), ..Notice::default() };
        assert_eq!(templates.in_app(&moon, "hi").message, "Full");
        assert_eq!(templates.in_app(&moon, "hi").title, "सूचना");
    }

    #[test]
    fn g29_what_leaves_the_device_has_no_amount_and_the_feed_has() {
        let templates = Templates::load().unwrap();
        let own = Notice { title: "Dining at 80%".into(), message: "80.00 of 100.00".into(), ..warning() };
        for locale in ["en", "hi"] {
            let outside = templates.outside(&own, locale, false);
            assert!(!has_amount(&outside.title) && !has_amount(&outside.message), "{outside:?}");
            let mail = templates.mail(&[&own], locale, false).unwrap();
            assert!(!has_amount(&mail.subject), "{}", mail.subject);
            assert!(mail.text.contains("80.00") && mail.html.contains("80.00"));
            assert!(has_amount(&templates.in_app(&own, locale).message));
        }
        assert_eq!(templates.outside(&own, "en", true).title, "Dining at 80%", "whoever wants it");
        let sly = Notice {
            kind: "goal_milestone".into(),
            metadata: [("goal".into(), "5000 for Goa".into())].into(),
            ..Notice::default()
        };
        assert!(!has_amount(&templates.outside(&sly, "en", false).message), "a fact is no way around");
    }

    #[test]
    fn a_mail_cannot_be_broken_out_of() {
        let templates = Templates::load().unwrap();
        let evil = Notice {
            kind: "reminder".into(),
            title: "Hello\r\nBcc: all@example.com".into(),
            message: "<script>alert('x')</script>".into(),
            ..Notice::default()
        };
        let mail = templates.mail(&[&evil], "en", true).unwrap();
        assert_eq!(mail.subject, "Hello Bcc: all@example.com");
        assert!(mail.html.contains("&lt;script&gt;") && !mail.html.contains("<script>"), "{}", mail.html);
        assert!(mail.text.contains("<script>"), "the text part is plain");
    }

    #[test]
    fn a_template_that_runs_for_ever_is_stopped() {
        let templates = Templates::load().unwrap();
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(templates.environment.render_str(endless, Value::from_pairs([("a", 1)])).is_err());
    }
}
