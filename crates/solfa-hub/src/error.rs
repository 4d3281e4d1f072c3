//! Why files could not be had from the hub.

use std::path::PathBuf;

/// Why files could not be had from the hub. No variant ever holds the token.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Nowhere to keep files.
    #[error("no folder for downloaded models: set HF_HUB_CACHE (or HF_HOME), since there is no home folder")]
    NoCacheFolder,
    /// A setting that cannot be used.
    #[error("{name}: {reason}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What was expected and, unless it is secret, what was found.
        reason: String,
    },
    /// No repository of that name, or one that only some may see.
    #[error("{repository}: no such repository on {endpoint}{}", private_hint(*has_token))]
    RepositoryNotFound {
        /// Its name.
        repository: String,
        /// The hub that was asked.
        endpoint: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// A repository without that branch, tag or commit.
    #[error("{repository}: no branch, tag or commit `{revision}` in this repository on {endpoint}")]
    RevisionNotFound {
        /// The repository.
        repository: String,
        /// What was asked for.
        revision: String,
        /// The hub that was asked.
        endpoint: String,
    },
    /// A repository without a file that is needed.
    #[error("{repository}: expected {expected}, found {found}")]
    FilesNotFound {
        /// The repository.
        repository: String,
        /// What is needed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A repository that asks who one is, or that one must be admitted to.
    #[error("{repository}: access was refused ({status}): {}", access_hint(page, *has_token))]
    Refused {
        /// The repository.
        repository: String,
        /// Its page, where its terms can be accepted.
        page: String,
        /// What the server answered: 401 or 403.
        status: u16,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// Not in the cache, and nothing may be downloaded.
    #[error(
        "{repository} is not in the cache and HF_HUB_OFFLINE is set: expected {wanted} of revision {revision} in {}",
        folder.display()
    )]
    Offline {
        /// The repository.
        repository: String,
        /// Its revision.
        revision: String,
        /// The files.
        wanted: String,
        /// Where they would be.
        folder: PathBuf,
    },
    /// A server could not be reached, or the connection broke before it answered.
    #[error("{host} cannot be reached: {reason}")]
    Network {
        /// Scheme and host.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// A server that answers with an error of its own.
    #[error("{host} answered {status} for {what}{}", status_hint(*status))]
    Status {
        /// Scheme and host.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
    },
    /// A server that does not speak as the hub does.
    #[error("{host}: the answer for {what} was not understood: {reason} (is this a Hugging Face hub?)")]
    Protocol {
        /// Scheme and host.
        host: String,
        /// What was asked for.
        what: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A download that broke off. What has come is kept.
    #[error(
        "{file}: the download broke off after {received} of {expected} bytes ({reason}): run the same command again, \
         and it continues from there"
    )]
    Interrupted {
        /// The file.
        file: String,
        /// Bytes that are kept.
        received: u64,
        /// Bytes of the whole file.
        expected: u64,
        /// What went wrong.
        reason: String,
    },
    /// A file that arrived otherwise than the hub says it is. Nothing of it is kept.
    #[error("{file}: damaged on the way, and removed: expected {expected}, found {found}")]
    Integrity {
        /// The file.
        file: String,
        /// Its hash or length by what the hub says.
        expected: String,
        /// That of what came.
        found: String,
    },
    /// No space for a file. What has come is kept.
    #[error("{path}: no space is left on the disk, and {missing} bytes are still to come", path = path.display())]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// Bytes that are not there yet.
        missing: u64,
    },
    /// A file of the cache that cannot be read or written.
    #[error("{path}: {action}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What could not be done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HubError {
    /// Whether a server or the cache could not be used, as against one that gave a wrong answer.
    pub(crate) fn is_about_access(&self) -> bool {
        match self {
            Self::RepositoryNotFound { .. }
            | Self::Refused { .. }
            | Self::Network { .. }
            | Self::Status { .. }
            | Self::Interrupted { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. } => true,
            Self::NoCacheFolder
            | Self::Setting { .. }
            | Self::RevisionNotFound { .. }
            | Self::FilesNotFound { .. }
            | Self::Offline { .. }
            | Self::Protocol { .. }
            | Self::Integrity { .. } => false,
        }
    }
}

fn private_hint(has_token: bool) -> &'static str {
    if has_token { " (or one that this HF_TOKEN may not see)" } else { " (or a private one: set HF_TOKEN)" }
}

fn access_hint(page: &str, has_token: bool) -> String {
    let token = if has_token { "check that HF_TOKEN is valid" } else { "set HF_TOKEN" };
    format!("{token}, and accept the model's terms at {page}")
}

fn status_hint(status: u16) -> &'static str {
    match status {
        429 => " (too many requests: wait a while; with HF_TOKEN set more are allowed)",
        500.. => " (a fault of the server: try again later)",
        _ => "",
    }
}
