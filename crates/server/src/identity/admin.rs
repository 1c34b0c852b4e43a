//! Commands that the operator of the machine can run without a key: create people, reset passwords, and
//! recover access.
//!
//! `gateway::control::admin` receives the commands.

use crate::{
    documents::{self, Document},
    identity::{administrators, api_key::Secret, bootstrap, invitations::fresh_link, local_audit, token},
    ids::fresh_id,
    settings::Settings,
};
use ootheca_model::{
    Error, ErrorKind, Grant, Invitation, Organization, Person, PrincipalId, Resource, Result, Role,
    ServiceAccount, Timestamp, audit::AuditEntry, identity::normal_grants,
};
use ootheca_store::{Batch, Kind, Mutation, Order, Query, Store};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The setting that exists once the recovery key was shown.
const RECOVERY_KEY_SHOWN: &str = "recovery-key-shown";

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Creates a person and a sign-in link.
    CreateUser {
        /// Email address.
        email: String,
        /// Names of roles at organization scope.
        roles: Vec<String>,
    },
    /// Creates a link with which a person sets a new password.
    ResetPassword {
        /// Email address.
        email: String,
    },
    /// Creates a short-lived sign-in link for the first administrator, and creates that person if there is
    /// none.
    Link,
    /// Lists all people.
    ListUsers,
    /// Creates an API key with all permissions.
    NewKey,
    /// Shows the key of all backups, but only once.
    RecoveryKey,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// A sign-in link for one person.
    Link {
        /// Email address of the person.
        email: String,
        /// The link.
        link: String,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// All people.
    Users(Vec<User>),
    /// An API key.
    Key {
        /// The secret.
        secret: String,
        /// The service account that the key belongs to.
        service_account: String,
    },
    /// The key of all backups.
    RecoveryKey {
        /// The key as text.
        recovery_key: String,
        /// Its fingerprint, which the repository contains.
        fingerprint: String,
    },
}

/// A person in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// ID of the person.
    pub id: String,
    /// Email address.
    pub email: String,
    /// Whether the person can sign in.
    pub active: bool,
    /// Whether the person has a password.
    pub has_password: bool,
    /// Roles at organization scope.
    pub roles: Vec<String>,
}

/// Runs a command.
pub async fn run(store: &dyn Store, settings: &Settings, command: Command, now: Timestamp) -> Result<Done> {
    let rows = store.list(&Query { limit: 2, ..Query::all(Kind::Organization) }).await?;
    let row = rows.into_iter().next().ok_or_else(|| Error::precondition("no organization exists yet"))?;
    let service =
        AdminService { store, settings, organization: documents::decode::<Organization>(row)?.value, now };
    match command {
        Command::CreateUser { email, roles } => service.create_user(&email, &roles).await,
        Command::ResetPassword { email } => service.reset_password(&email).await,
        Command::Link => service.administrator_link().await,
        Command::ListUsers => service.list_users().await,
        Command::NewKey => service.new_key().await,
        Command::RecoveryKey => service.recovery_key().await,
    }
}

struct AdminService<'a> {
    store: &'a dyn Store,
    settings: &'a Settings,
    organization: Organization,
    now: Timestamp,
}

impl AdminService<'_> {
    async fn create_user(&self, email: &str, roles: &[String]) -> Result<Done> {
        let mut person = Person::new(self.organization.id, PrincipalId(fresh_id()), email, self.now)?;
        let role = |name: &String| -> Result<Grant> {
            let role: Role = name.to_uppercase().parse().map_err(|error: Error| error.context("role"))?;
            Grant::new(role, Resource::Organization)
        };
        person.grants = normal_grants(roles.iter().map(role).collect::<Result<Vec<_>>>()?);
        person.invited = true;
        let done = self.link(&person, documents::insert(&person)?, "CREATE_USER").await;
        done.map_err(|error| match error.kind() {
            ErrorKind::Exists => {
                let message = format!(
                    "{} already exists; create a link with `ootheca admin reset-password`",
                    person.email
                );
                Error::new(ErrorKind::Exists, message)
            }
            _ => error,
        })
    }

    async fn reset_password(&self, email: &str) -> Result<Done> {
        let wanted = Person::new(self.organization.id, PrincipalId(fresh_id()), email, self.now)?;
        let key = wanted.columns().unique_key.unwrap_or_default();
        let row = self.store.by_unique_key(Kind::Person, &key).await?;
        let row = row.ok_or_else(|| {
            Error::not_found(format!("user {}", wanted.email))
                .context("list all users with `ootheca admin list-users`")
        })?;
        let person = documents::decode::<Person>(row)?;
        self.link(&person.value, documents::touch(&person.row), "UPDATE_USER").await
    }

    /// Earlier links stay valid.
    async fn administrator_link(&self) -> Result<Done> {
        let administrator = administrators::administrator(self.store, &self.organization, self.now).await?;
        let token = token::random();
        let link = Invitation { id: token::id(&token), ..administrator.link("ootheca admin", self.now) };
        let mut batch = Batch::server("admin").with(administrator.change).with(documents::insert(&link)?);
        let action = if administrator.made { "CREATE_USER" } else { "UPDATE_USER" };
        batch.audit.push(self.entry(action, &link.email));
        self.store.commit(batch, self.now).await?;
        Ok(Done::Link { email: link.email, link: self.settings.link(&token), expires_at: link.expires_at })
    }

    async fn link(&self, person: &Person, change: Mutation, action: &str) -> Result<Done> {
        let lasts = Duration::from_secs(self.settings.sessions.link_hours * 3600);
        let (token, link, changes) = fresh_link(person, "ootheca admin", lasts, self.now)?;
        let mut batch = Batch::server("admin").with(change);
        batch.mutations.extend(changes);
        batch.audit.push(self.entry(action, &person.email));
        self.store.commit(batch, self.now).await?;
        let email = person.email.clone();
        Ok(Done::Link { email, link: self.settings.link(&token), expires_at: link.expires_at })
    }

    async fn list_users(&self) -> Result<Done> {
        let query = Query { organization: Some(self.organization.id), ..Query::all(Kind::Person) };
        let mut users = Vec::new();
        for row in self.store.list(&query).await? {
            let person = documents::decode::<Person>(row)?.value;
            let own = person.grants.iter().filter(|grant| grant.resource == Resource::Organization);
            users.push(User {
                id: person.id.to_string(),
                email: person.email.clone(),
                active: person.profile.active,
                has_password: person.password.is_some(),
                roles: own.map(|grant| grant.role.to_string()).collect(),
            });
        }
        Ok(Done::Users(users))
    }

    async fn new_key(&self) -> Result<Done> {
        let mut batch = Batch::server("admin");
        let account = match self.admin_account().await? {
            Some(account) => account,
            None => {
                let account = ServiceAccount {
                    organization: self.organization.id,
                    id: PrincipalId(fresh_id()),
                    name: "recovery".to_owned(),
                    description: "Created by `ootheca admin new-key`".to_owned(),
                    creator_name: "ootheca admin".to_owned(),
                    created_at: self.now,
                    grants: normal_grants(bootstrap::ADMIN_ROLES.map(Grant::organization)),
                };
                batch.mutations.push(documents::insert(&account)?);
                account
            }
        };
        let secret = Secret::random();
        batch.mutations.push(documents::insert(&secret.key("recovery", &account, self.now))?);
        batch.audit.push(self.entry("CREATE_API_KEY", secret.id()));
        self.store.commit(batch, self.now).await?;
        Ok(Done::Key { secret: secret.reveal(), service_account: account.name })
    }

    /// The time when it was shown is a row, which is committed first.
    async fn recovery_key(&self) -> Result<Done> {
        let key = bootstrap::recovery_key(self.store, self.now).await?;
        let fingerprint = key.fingerprint();
        let shown = documents::setting(RECOVERY_KEY_SHOWN, fingerprint.clone(), self.now);
        let mut batch = Batch::server("admin").with(Mutation::Insert(shown));
        let about = format!("recovery key {fingerprint} shown");
        batch.audit.push(self.entry("UPDATE_BACKUP_CONFIGURATION", &about));
        match self.store.commit(batch, self.now).await {
            Ok(_) => Ok(Done::RecoveryKey { recovery_key: key.reveal(), fingerprint }),
            Err(error) if error.kind() == ErrorKind::Exists => {
                let row = self.store.get(Kind::Setting, RECOVERY_KEY_SHOWN).await?;
                let when = row.map(|row| format!(" on {}", row.created_at)).unwrap_or_default();
                let message = format!(
                    "the recovery key was shown{when}, and is shown only once; its fingerprint is {fingerprint}"
                );
                Err(Error::precondition(message))
            }
            Err(error) => Err(error),
        }
    }

    /// The oldest service account with all permissions.
    async fn admin_account(&self) -> Result<Option<ServiceAccount>> {
        let query = Query {
            organization: Some(self.organization.id),
            order: Order::CreatedAt,
            ..Query::all(Kind::ServiceAccount)
        };
        for row in self.store.list(&query).await? {
            let account = documents::decode::<ServiceAccount>(row)?.value;
            let holds = |role| account.grants.contains(&Grant::organization(role));
            if holds(Role::OrgAdmin) && holds(Role::ClusterAdmin) {
                return Ok(Some(account));
            }
        }
        Ok(None)
    }

    fn entry(&self, action: &str, about: &str) -> AuditEntry {
        local_audit::entry(self.organization.id, action, about, self.now)
    }
}
