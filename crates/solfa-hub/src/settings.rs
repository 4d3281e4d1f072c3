//! Where the hub is, where files are kept, and who asks: what Python's `huggingface_hub` reads from the environment.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::HubError;

/// The hub, where no other one is named.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where the hub is, where files are kept, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Scheme and host of the hub, and a path where it has one.
    pub endpoint: String,
    /// The folder of the cache: what Python's library calls `hub`.
    pub cache_folder: PathBuf,
    /// Who asks, where that matters.
    pub token: Option<Token>,
    /// Whether to use only what is in the cache.
    pub is_offline: bool,
}

impl HubSettings {
    /// Reads settings as Python's library does. `lookup` gives a variable's value; an empty one counts as not set.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `HF_HUB_CACHE` | the folder of the cache; else `hub` in `HF_HOME` |
    /// | `HF_HOME` | else `huggingface` in `XDG_CACHE_HOME`, else `~/.cache/huggingface` |
    /// | `HF_ENDPOINT` | another hub than [`DEFAULT_ENDPOINT`] |
    /// | `HF_TOKEN` | who asks; else the text of the file `HF_TOKEN_PATH`, else of the file `token` in `HF_HOME` |
    /// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | if true, neither of those files is read |
    /// | `HF_HUB_OFFLINE` | if true, nothing is downloaded |
    ///
    /// True is `1`, `true`, `yes` or `on`, in any case. A path may start with `~/`.
    ///
    /// # Errors
    /// No home folder and no variable that says where to keep files; a token or endpoint that can be none; a token file
    /// that is there and cannot be read.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>, home: Option<&Path>) -> Result<Self, HubError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(|value| expand_home(&value, home));
        let is_true = |name: &str| variable(name).is_some_and(|value| is_true(&value));

        let hf_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("huggingface")))
            .or_else(|| home.map(|home| home.join(".cache").join("huggingface")));
        let cache_folder = path("HF_HUB_CACHE")
            .or_else(|| hf_home.as_ref().map(|folder| folder.join("hub")))
            .ok_or(HubError::NoCacheFolder)?;
        let token = match variable("HF_TOKEN") {
            Some(text) => Token::new(&text)?,
            None if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") => None,
            None => match path("HF_TOKEN_PATH").or_else(|| hf_home.map(|folder| folder.join("token"))) {
                Some(file) => Token::read(&file)?,
                None => None,
            },
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Ok(Self { endpoint: checked_endpoint(&endpoint)?, cache_folder, token, is_offline: is_true("HF_HUB_OFFLINE") })
    }
}

/// A user's token. Its text is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, or none where the text has nothing but space.
    ///
    /// # Errors
    /// Characters that no token has.
    pub fn new(text: &str) -> Result<Option<Self>, HubError> {
        let text = text.trim();
        if !text.chars().all(|character| character.is_ascii_graphic()) {
            let reason = "expected letters and digits, found other characters (the value is not shown)".into();
            return Err(HubError::Setting { name: "HF_TOKEN", reason });
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    fn read(file: &Path) -> Result<Option<Self>, HubError> {
        let failed = |source| HubError::Io { path: file.to_owned(), action: "the token cannot be read", source };
        match std::fs::read_to_string(file) {
            Ok(text) => Self::new(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(not shown)")
    }
}

/// An endpoint without a slash at its end.
///
/// # Errors
/// Anything but `http://` or `https://`, a host, and plain characters. The value is not shown where it could hold a
/// password.
pub(crate) fn checked_endpoint(endpoint: &str) -> Result<String, HubError> {
    let invalid = |reason: String| HubError::Setting { name: "HF_ENDPOINT", reason };
    let endpoint = endpoint.trim().trim_end_matches('/');
    if endpoint.contains('@') {
        return Err(invalid(
            "expected no user or password in it (the value is not shown); a token goes to HF_TOKEN".into(),
        ));
    }
    let expected = || invalid(format!("expected an address such as {DEFAULT_ENDPOINT}, found {endpoint:?}"));
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://")).ok_or_else(expected)?;
    let has_host = !rest.is_empty() && !rest.starts_with(['/', ':']);
    let is_plain = rest.chars().all(|character| character.is_ascii_alphanumeric() || "-._~:[]/%".contains(character));
    if has_host && is_plain { Ok(endpoint.to_owned()) } else { Err(expected()) }
}

fn expand_home(value: &str, home: Option<&Path>) -> PathBuf {
    match (value.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(value),
    }
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|accepted| value.eq_ignore_ascii_case(accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], home: Option<&Path>) -> Result<HubSettings, HubError> {
        let lookup =
            |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        HubSettings::from_variables(lookup, home)
    }

    #[test]
    fn the_cache_folder_is_pythons() {
        let folder = |variables: &[(&str, &str)]| settings(variables, Some(Path::new("/home/a"))).unwrap().cache_folder;
        assert_eq!(folder(&[]), Path::new("/home/a/.cache/huggingface/hub"));
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        assert_eq!(folder(&[xdg]), Path::new("/xdg/huggingface/hub"));
        let home = ("HF_HOME", "~/models");
        assert_eq!(folder(&[xdg, home]), Path::new("/home/a/models/hub"));
        let cache = ("HF_HUB_CACHE", "/cache");
        assert_eq!(folder(&[xdg, home, cache]), Path::new("/cache"));
        assert_eq!(folder(&[xdg, ("HF_HOME", ""), ("HF_HUB_CACHE", "")]), Path::new("/xdg/huggingface/hub"));
        assert_eq!(folder(&[("HF_HOME", "~")]), Path::new("/home/a/hub"));
    }

    #[test]
    fn nowhere_to_keep_files_is_an_error_that_names_the_variable() {
        let error = settings(&[], None).unwrap_err();
        assert!(matches!(error, HubError::NoCacheFolder));
        assert!(error.to_string().contains("set HF_HUB_CACHE"));
        assert_eq!(settings(&[("HF_HUB_CACHE", "/c")], None).unwrap().cache_folder, Path::new("/c"));
    }

    #[test]
    fn the_token_comes_from_the_variable_then_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "from_home\n").unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, " from_path ").unwrap();
        let token = |more: &[(&str, &str)]| {
            let variables = [&[("HF_HOME", home)], more].concat();
            settings(&variables, None).unwrap().token.map(|token| token.text().to_owned())
        };
        assert_eq!(token(&[]).as_deref(), Some("from_home"));
        let path = ("HF_TOKEN_PATH", other.to_str().unwrap());
        assert_eq!(token(&[path]).as_deref(), Some("from_path"));
        assert_eq!(token(&[path, ("HF_TOKEN", "given\n")]).as_deref(), Some("given"));
        let disabled = ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "true");
        assert_eq!(token(&[path, disabled]), None);
        assert_eq!(token(&[disabled, ("HF_TOKEN", "given")]).as_deref(), Some("given"));
        std::fs::write(&other, "\n").unwrap();
        assert_eq!(token(&[path]), None);
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere/at/all")]), None);
    }

    #[test]
    fn a_token_is_never_shown() {
        let secret = "hf_secret\u{7}";
        let error = settings(&[("HF_TOKEN", secret), ("HF_HOME", "/a")], None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        let settings = settings(&[("HF_TOKEN", "hf_secret"), ("HF_HOME", "/a")], None).unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn endpoints_are_checked() {
        let endpoint = |value: &str| {
            settings(&[("HF_ENDPOINT", value), ("HF_HOME", "/nowhere")], None).map(|settings| settings.endpoint)
        };
        assert_eq!(endpoint("").unwrap(), DEFAULT_ENDPOINT);
        assert_eq!(endpoint("https://hf-mirror.com/").unwrap(), "https://hf-mirror.com");
        assert_eq!(endpoint("http://127.0.0.1:8080/hub").unwrap(), "http://127.0.0.1:8080/hub");
        for wrong in ["hf-mirror.com", "ftp://a", "https://", "https:///a", "https://a b", "https://a?b", "https://a#b"]
        {
            assert!(endpoint(wrong).unwrap_err().to_string().contains("HF_ENDPOINT: expected"), "{wrong}");
        }
        assert!(!endpoint("https://user:password@a").unwrap_err().to_string().contains("password@"));
    }

    #[test]
    fn offline_is_true_in_four_spellings() {
        let is_offline =
            |value: &str| settings(&[("HF_HUB_OFFLINE", value), ("HF_HOME", "/a")], None).unwrap().is_offline;
        assert!(["1", "true", "YES", "On"].into_iter().all(is_offline));
        assert!(!["", "0", "false", "no", "2"].into_iter().any(is_offline));
    }
}
