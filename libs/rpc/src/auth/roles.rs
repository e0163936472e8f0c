//! Which role may call which method: the whole of it.

use super::{AuthError, Identity, Role};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Open,
    /// A user about itself, and a service about anybody. The handler compares the users.
    Own,
    /// Who runs the pathways, and services.
    Operate,
    /// Services alone: it is about many users at once, or trusts what its caller says of one.
    Serve,
}

use Access::{Open, Operate, Own, Serve};

/// Every method, by its service. What is not here is refused to everybody.
///
/// Publishing is not for users: whose an event is, is what the pathway of its topic makes of its data, and nothing else knows that. What a user may say in
/// an application, that application's own service publishes. Subscribing is not for them either: a topic's offsets count everybody's events.
const TABLE: [(&str, &[(&str, Access)]); 10] = [
    (
        "pathway.processor.v1.ProcessorService",
        &[
            ("Publish", Operate),
            ("AwaitProcessed", Operate),
            ("Subscribe", Operate),
            ("ListTopics", Operate),
            ("ListExecutions", Operate),
            ("GetExecution", Operate),
            ("WatchExecutions", Operate),
            ("ListDeadLetters", Operate),
            ("ListDeadLetterGroups", Operate),
            ("GetDeadLetter", Operate),
            ("RedriveDeadLetters", Operate),
            ("DiscardDeadLetters", Operate),
            ("DryRun", Operate),
            ("ListPathways", Operate),
            ("GetPathway", Operate),
            ("RegisterPathway", Operate),
            ("ActivatePathway", Operate),
            ("DeactivatePathway", Operate),
            ("ReplayTopic", Operate),
            ("ListReplays", Operate),
            ("CancelReplay", Operate),
        ],
    ),
    (
        "pathway.datasync.v1.DatasyncService",
        &[
            ("WriteRecords", Serve),
            ("ListRecords", Own),
            ("ListRecordVersions", Own),
            ("ListChanges", Serve),
            ("WatchChanges", Serve),
            ("ImportStatement", Own),
            ("SplitRecord", Own),
            ("PairTransfers", Own),
            ("PairRecords", Own),
            ("UnpairRecord", Own),
        ],
    ),
    (
        "pathway.analytics.v1.AnalyticsService",
        &[
            ("ApplyChanges", Serve),
            // Names no user: whoever imported a statement waits for the sequence that the import answered.
            ("AwaitChanges", Own),
            ("GetSpending", Own),
            ("SetBudgets", Own),
            ("ListBudgets", Own),
            ("ListClosedPeriods", Own),
            ("Explain", Own),
            ("ListInsights", Own),
            ("SetInsightFeedback", Own),
            ("ListTrends", Own),
            ("GetSummary", Own),
            ("GetBudgetStatus", Own),
            ("ListRecurring", Own),
            ("GetBreakdown", Own),
            ("RecordEvents", Serve),
            ("SetGoal", Own),
            ("ListGoals", Own),
            ("GetGoal", Own),
            ("RemoveGoal", Own),
            ("AddContribution", Own),
            ("RemoveContribution", Own),
            ("ListContributions", Own),
            ("WatchAnalytics", Own),
            ("SetRates", Operate),
            ("Rebuild", Operate),
            ("GetRebuild", Operate),
            // Rates are everybody's.
            ("ListRates", Own),
        ],
    ),
    (
        "pathway.notifications.v1.NotificationsService",
        &[
            ("SendNotices", Serve),
            ("ListNotices", Own),
            ("MarkNotices", Own),
            ("MarkAllRead", Own),
            ("ArchiveNotices", Own),
            ("WatchNotices", Own),
            ("WatchNotifications", Own),
        ],
    ),
    (
        "pathway.operations.v1.OperationsService",
        &[("ListBreakers", Operate), ("WatchBreakers", Operate), ("SetBreaker", Operate)],
    ),
    (
        "pathway.notifications.v1.PreferencesService",
        // A preview names no user: it shows the texts that everybody gets.
        &[
            ("GetPreferences", Own),
            ("UpdatePreferences", Own),
            ("ConfirmEmail", Own),
            ("UnsubscribeEmail", Own),
            ("PreviewNotice", Own),
        ],
    ),
    (
        "pathway.notifications.v1.DeliveriesService",
        &[
            ("ListDeliveries", Own),
            ("RetryDelivery", Own),
            ("CreateWebhook", Own),
            ("ListWebhooks", Own),
            ("UpdateWebhook", Own),
            ("DeleteWebhook", Own),
            ("RotateWebhookSecret", Own),
            ("RecoverWebhook", Own),
            ("ReplayWebhook", Own),
            // The key is public, and the same for all.
            ("GetPushKey", Own),
            ("CreatePushSubscription", Own),
            ("ListPushSubscriptions", Own),
            ("DeletePushSubscription", Own),
        ],
    ),
    // Probes have no token.
    ("grpc.health.v1.Health", &[("Check", Open), ("Watch", Open)]),
    // It says what this program's source says; a setting closes it all the same.
    ("grpc.reflection.v1.ServerReflection", &[("ServerReflectionInfo", Open)]),
    ("grpc.reflection.v1alpha.ServerReflection", &[("ServerReflectionInfo", Open)]),
];

/// Whether a path is one of reflection's.
pub(crate) fn is_reflection(path: &str) -> bool {
    path.starts_with("/grpc.reflection.")
}

/// Who may call the method at this path, such as `/pathway.datasync.v1.DatasyncService/ListRecords`; none for one that the table does not name.
#[must_use]
pub fn access(path: &str) -> Option<Access> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    methods.iter().find(|(name, _)| *name == method).map(|(_, access)| *access)
}

/// Lets a caller call a method with this access.
pub(crate) fn allow(caller: &Identity, access: Option<Access>) -> Result<(), AuthError> {
    let may = match (access, caller.role()) {
        (_, Role::Anyone) | (Some(_), Role::Service) | (Some(Open), _) => true,
        (Some(Own), role) => role == Role::User,
        (Some(Operate), role) => role == Role::Operator,
        (Some(Serve) | None, _) => false,
    };
    if may { Ok(()) } else { Err(AuthError::RoleNotAllowed) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods(descriptors: &[u8]) -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(descriptors).unwrap();
        let mut paths = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                let method = |name: &str| format!("/{}.{}/{name}", file.package(), service.name());
                paths.extend(service.method.iter().map(|each| method(each.name())));
            }
        }
        paths
    }

    #[test]
    fn the_table_names_every_method_and_no_other() {
        let mut served = methods(pathway_proto::DESCRIPTORS);
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
        served.extend(methods(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        served.extend(methods(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
        let rows = TABLE.iter().flat_map(|(service, methods)| {
            methods.iter().map(move |(method, _)| format!("/{service}/{method}"))
        });
        assert_eq!(served, rows.collect(), "a method without a row is refused to everybody");
    }

    #[test]
    fn what_is_not_in_the_table_is_refused_to_everybody() {
        for path in ["/pathway.processor.v1.ProcessorService/Drop", "/x.Y/Z", "/", "", "publish"] {
            assert_eq!(access(path), None, "{path}");
        }
        for role in [Role::User, Role::Operator, Role::Service, Role::Nobody] {
            assert!(allow(&Identity::new(role, "x"), None).is_err(), "{role:?}");
        }
    }

    #[test]
    fn each_role_may_what_its_row_says() {
        let may = |role, access| allow(&Identity::new(role, "x"), Some(access)).is_ok();
        let of = |role| [Open, Own, Operate, Serve].map(|access| may(role, access));
        assert_eq!(of(Role::Nobody), [true, false, false, false]);
        assert_eq!(of(Role::User), [true, true, false, false]);
        assert_eq!(of(Role::Operator), [true, false, true, false]);
        assert_eq!(of(Role::Service), [true; 4]);
        assert_eq!(of(Role::Anyone), [true; 4]);
    }
}
