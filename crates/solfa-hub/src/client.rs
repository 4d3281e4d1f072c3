//! Requests to a hub, through the HTTP client that `hf-hub` builds.
//!
//! Redirects are followed here, one by one. What a file is, the hub says, and not the storage that it redirects to; and
//! the token must not reach that storage. `hf-hub` 0.5's own functions for files send the token along, take names of
//! files on disk from the answer unchecked, and append whatever comes.

use std::io::Read;

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

use crate::cache::{is_commit, is_hexadecimal};
use crate::error::HubError;
use crate::reference::RepositoryReference;
use crate::settings::HubSettings;

/// More redirects in a row than this lead nowhere.
const MOST_REDIRECTS: usize = 10;
/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may be silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of the longest list of a repository's files that is read.
const LONGEST_LIST: u64 = 32 << 20;

/// A hub, seen from one repository at one revision.
pub(crate) struct Client {
    api: ApiRepo,
    repository: RepositoryReference,
    endpoint: String,
    has_token: bool,
}

/// What a repository holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The commit that the revision is at.
    pub(crate) commit: String,
    /// Names of files, as the hub says them: not to be used as paths.
    pub(crate) files: Vec<String>,
}

/// What a file is, by what the hub says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// SHA-256 (64 digits), or git's hash of a blob (40 digits).
    pub(crate) hash: String,
    /// Its length in bytes.
    pub(crate) size: u64,
}

/// An answer to a request: a success, and no redirect.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Box<dyn Read>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    fn is_success(&self) -> bool {
        matches!(self.status, 200 | 206)
    }

    /// Whether it is an error. That a file has no byte there is none.
    fn is_failure(&self) -> bool {
        !self.is_success() && !self.is_redirect() && self.status != 416
    }

    /// First byte and whole length, where the answer is a part of a file.
    pub(crate) fn content_range(&self) -> Option<(u64, u64)> {
        let (range, total) = self.header("content-range")?.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (start, _) = range.split_once('-')?;
        Some((start.parse().ok()?, total.parse().ok()?))
    }
}

impl Client {
    /// A client for the files of `repository` at `revision`.
    pub(crate) fn new(
        settings: &HubSettings,
        repository: &RepositoryReference,
        revision: &str,
    ) -> Result<Self, HubError> {
        let endpoint = settings.endpoint.clone();
        let api = ApiBuilder::from_cache(Cache::new(settings.cache_folder.clone()))
            .with_endpoint(endpoint.clone())
            .with_token(settings.token.as_ref().map(|token| token.text().to_owned()))
            .with_progress(false)
            .with_user_agent("solfa", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| HubError::Network { host: endpoint.clone(), reason: error.to_string() })?;
        let repo = Repo::with_revision(repository.name().to_owned(), RepoType::Model, revision.to_owned());
        Ok(Self { api: api.repo(repo), repository: repository.clone(), endpoint, has_token: settings.token.is_some() })
    }

    /// What the repository holds at the revision.
    pub(crate) fn list(&self) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let request = self.api.info_request();
        let url = request.uri_ref().map(ToString::to_string).unwrap_or_default();
        let what = format!("the files of {}", self.repository.name());
        let (host, answer) = self.follow(&url, &what, None, |_| false)?;
        if !answer.is_success() {
            return Err(self.error_of_list(&answer, host, what));
        }
        let protocol = |reason: String| HubError::Protocol { host: host.clone(), what: what.clone(), reason };
        let mut text = Vec::new();
        answer
            .body
            .take(LONGEST_LIST + 1)
            .read_to_end(&mut text)
            .map_err(|error| HubError::Network { host: host.clone(), reason: error.to_string() })?;
        if text.len() as u64 > LONGEST_LIST {
            return Err(protocol(format!("expected at most {LONGEST_LIST} bytes, found more")));
        }
        let info: Info = serde_json::from_slice(&text).map_err(|error| {
            protocol(format!("expected a repository's description in JSON, found this fault: {error}"))
        })?;
        if !is_commit(&info.sha) {
            return Err(protocol(format!("expected a commit of 40 hexadecimal digits, found {:?}", info.sha)));
        }
        Ok(Listing { commit: info.sha, files: info.siblings.into_iter().map(|sibling| sibling.rfilename).collect() })
    }

    /// What the hub says a file is.
    pub(crate) fn content(&self, file: &str) -> Result<Content, HubError> {
        let url = self.api.url(file);
        let mut hash = None;
        let mut linked_size = None;
        // One byte is asked for: this client knows no request for headers alone.
        let (host, answer) = self.follow(&url, file, Some("bytes=0-0".to_owned()), |answer| {
            // Whoever names the commit is the hub. A storage has hashes of its own kind.
            if hash.is_none() && !answer.is_failure() && answer.header("x-repo-commit").is_some() {
                let own = answer.header("etag").filter(|_| !answer.is_redirect());
                hash = answer.header("x-linked-etag").or(own).map(unquoted);
                linked_size = answer.header("x-linked-size").and_then(|size| size.trim().parse().ok());
            }
            hash.is_some() && linked_size.is_some()
        })?;
        if answer.is_failure() {
            return Err(self.error_of_file(&answer, host, file));
        }
        let protocol = |reason: String| HubError::Protocol { host: host.clone(), what: file.to_owned(), reason };
        let hash = hash.ok_or_else(|| protocol("expected an ETag and X-Repo-Commit, found neither or one".into()))?;
        if !is_hexadecimal(&hash, 64) && !is_hexadecimal(&hash, 40) {
            return Err(protocol(format!("expected a hash of 64 or 40 hexadecimal digits as ETag, found {hash:?}")));
        }
        let length = || answer.header("content-length").and_then(|length| length.trim().parse().ok());
        let size = linked_size.or_else(|| match answer.status {
            206 => answer.content_range().map(|(_, total)| total),
            // No first byte: an empty file.
            416 => answer.header("content-range").filter(|range| range.ends_with("*/0")).map(|_| 0),
            _ => length(),
        });
        let size = size.ok_or_else(|| protocol("expected the length of the file, found none".into()))?;
        Ok(Content { hash, size })
    }

    /// A file's bytes from `start` on, or all of them where the server knows no ranges (then the status is 200), or an
    /// answer with status 416 where it has none from there.
    pub(crate) fn open(&self, file: &str, start: u64) -> Result<Answer, HubError> {
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let (host, answer) = self.follow(&self.api.url(file), file, range, |_| false)?;
        if answer.is_failure() { Err(self.error_of_file(&answer, host, file)) } else { Ok(answer) }
    }

    /// Asks, and follows redirects until an answer is none or `is_enough`. Gives it with who sent it.
    fn follow(
        &self,
        url: &str,
        what: &str,
        range: Option<String>,
        mut is_enough: impl FnMut(&Answer) -> bool,
    ) -> Result<(String, Answer), HubError> {
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(&url, range.as_deref())?;
            let host = origin(&url).unwrap_or_default();
            if is_enough(&answer) || !answer.is_redirect() {
                return Ok((host, answer));
            }
            let location = answer.header("location").and_then(|location| resolve(&url, location));
            url = location.ok_or_else(|| HubError::Protocol {
                host,
                what: what.to_owned(),
                reason: format!("expected an address to go to with status {}, found none", answer.status),
            })?;
        }
        Err(HubError::Protocol {
            host: origin(&url).unwrap_or_default(),
            what: what.to_owned(),
            reason: format!("expected at most {MOST_REDIRECTS} redirects, found more"),
        })
    }

    /// One request. The token goes to the endpoint alone: same scheme, host and port.
    fn ask(&self, url: &str, range: Option<&str>) -> Result<Answer, HubError> {
        let host = origin(url).unwrap_or_default();
        let network = |reason: String| HubError::Network { host: host.clone(), reason };
        // A body that is packed for the way would have another length and hash.
        let mut request = self.api.info_request().uri(url).header("Accept-Encoding", "identity");
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        if origin(&self.endpoint) != origin(url) {
            let Some(headers) = request.headers_mut() else {
                return Err(network("the address is not understood".into()));
            };
            headers.remove("authorization");
        }
        let config = request
            .config()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(SILENCE_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT));
        // The proxy that variables name cannot reach this machine's own addresses.
        let config = if is_loopback(url) { config.proxy(None) } else { config };
        let (parts, body) = config.build().call().map_err(|error| network(error.to_string()))?.into_parts();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
        Ok(Answer { status: parts.status.as_u16(), headers, body: Box::new(body.into_reader()) })
    }

    fn error_of_list(&self, answer: &Answer, host: String, what: String) -> HubError {
        let code = answer.header("x-error-code").unwrap_or_default();
        match answer.status {
            404 if code == "RevisionNotFound" => HubError::RevisionNotFound {
                repository: self.repository.name().to_owned(),
                revision: self.repository.revision().to_owned(),
                endpoint: self.endpoint.clone(),
            },
            // To someone without a token the hub does not tell what is missing from what is private.
            401 if code != "GatedRepo" && !self.has_token => self.repository_not_found(),
            404 => self.repository_not_found(),
            status @ (401 | 403) => self.refused(status),
            status => HubError::Status { host, status, what },
        }
    }

    fn error_of_file(&self, answer: &Answer, host: String, file: &str) -> HubError {
        // A storage that refuses says nothing about the repository.
        let is_hub = origin(&self.endpoint).as_ref() == Some(&host);
        match answer.status {
            status if !is_hub => HubError::Status { host, status, what: file.to_owned() },
            404 => HubError::FilesNotFound {
                repository: self.repository.name().to_owned(),
                expected: file.to_owned(),
                found: "none of that name".to_owned(),
            },
            status @ (401 | 403) => self.refused(status),
            status => HubError::Status { host, status, what: file.to_owned() },
        }
    }

    fn repository_not_found(&self) -> HubError {
        HubError::RepositoryNotFound {
            repository: self.repository.name().to_owned(),
            endpoint: self.endpoint.clone(),
            has_token: self.has_token,
        }
    }

    fn refused(&self, status: u16) -> HubError {
        HubError::Refused {
            repository: self.repository.name().to_owned(),
            page: format!("{}/{}", self.endpoint, self.repository.name()),
            status,
            has_token: self.has_token,
        }
    }
}

/// An ETag without its quotes, and without the mark that a proxy repacked the body.
fn unquoted(etag: &str) -> String {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
}

/// Scheme, host and port of an address, in lower case. Whatever stands before the first slash counts as host, so an
/// address with a user in it is never that of an endpoint.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#', '\\']).next().filter(|host| !host.is_empty())?;
    Some(format!("{scheme}://{host}").to_ascii_lowercase())
}

/// Whether an address is this machine's own.
fn is_loopback(url: &str) -> bool {
    let Some(origin) = origin(url) else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address that a redirect from `url` leads to.
fn resolve(url: &str, location: &str) -> Option<String> {
    let location = location.trim();
    let lower = location.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Some(location.to_owned());
    }
    let origin = origin(url)?;
    if let Some(rest) = location.strip_prefix("//") {
        let (scheme, _) = origin.split_once("://")?;
        return Some(format!("{scheme}://{rest}"));
    }
    location.starts_with('/').then(|| format!("{origin}{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        assert_eq!(origin("https://Host/a?b").as_deref(), Some("https://host"));
        assert_eq!(origin("http://host:80").as_deref(), Some("http://host:80"));
        assert_ne!(origin("https://huggingface.co@evil.example/x"), origin("https://huggingface.co/x"));
        assert_ne!(origin("https://huggingface.co\\.evil.example/x"), origin("https://huggingface.co.evil.example"));
        assert_ne!(origin("http://huggingface.co"), origin("https://huggingface.co"));
        assert_ne!(origin("https://huggingface.co:8443"), origin("https://huggingface.co"));
        assert_eq!(origin("/a"), None);
    }

    #[test]
    fn own_addresses_are_recognised() {
        for own in
            ["http://127.0.0.1:80/a", "http://localhost/", "http://LOCALHOST:1", "http://[::1]:8/a", "http://127.9.9.9"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in
            ["http://127.0.0.1.example/a", "http://localhost.example", "http://[2001:db8::1]:8", "https://a", "x"]
        {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn redirects_are_resolved() {
        let from = "https://host:1/a/b?c";
        for (location, expected) in [
            ("/x?y", Some("https://host:1/x?y")),
            ("//other/x", Some("https://other/x")),
            ("HTTP://other/x", Some("HTTP://other/x")),
            ("x", None),
            ("", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(resolve(from, location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn etags_lose_quotes_and_marks() {
        assert_eq!(unquoted("\"abc\""), "abc");
        assert_eq!(unquoted("W/\"abc\""), "abc");
        assert_eq!(unquoted("abc"), "abc");
    }

    #[test]
    fn parts_of_files_are_parsed() {
        let range = |value: &str| {
            let headers = vec![("content-range".to_owned(), value.to_owned())];
            Answer { status: 206, headers, body: Box::new(std::io::empty()) }.content_range()
        };
        assert_eq!(range("bytes 5-9/10"), Some((5, 10)));
        for wrong in ["bytes */10", "bytes 5-9/*", "5-9/10", "bytes -5/10", "bytes 99999999999999999999-1/1", ""] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
