//! Downloads from a hub on the loopback address, and the cache that they leave.

#![allow(clippy::unwrap_used, reason = "a test: what fails here is a mistake of the repository")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use solfa_hub::error::HubError;
use solfa_hub::hub::Hub;
use solfa_hub::progress::DownloadProgress;
use solfa_hub::reference::{HubFiles, ModelReference};
use solfa_hub::settings::{HubSettings, Token};
use solfa_hub::testing::{LocalHub, Reply, Request, git_hash, sha256};
use solfa_hub::wanted::Wanted;
use tempfile::TempDir;

const REPOSITORY: &str = "org/tiny";
const CONFIGURATION: &[u8] = b"{\"hidden_size\": 8}";
const PREPROCESSOR: &[u8] = b"{\"do_normalize\": true}";
const TOKEN: &str = "hf_secret_of_a_test";

/// More than one read of a socket, and nowhere the same.
fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// A hub with a small model, and a cache of its own.
struct Setup {
    server: LocalHub,
    folder: TempDir,
    weights: Vec<u8>,
}

impl Setup {
    fn new() -> Self {
        let weights = weights();
        let files: [(&str, &[u8]); 5] = [
            ("config.json", CONFIGURATION),
            ("preprocessor_config.json", PREPROCESSOR),
            ("model.safetensors", &weights),
            ("pytorch_model.bin", b"not wanted"),
            ("README.md", b"not wanted"),
        ];
        Self { server: LocalHub::serve(REPOSITORY, &files), folder: tempfile::tempdir().unwrap(), weights }
    }

    fn with_files(files: &[(&str, &[u8])]) -> Self {
        let server = LocalHub::serve(REPOSITORY, files);
        Self { server, folder: tempfile::tempdir().unwrap(), weights: weights() }
    }

    fn settings(&self) -> HubSettings {
        HubSettings {
            endpoint: self.server.endpoint(),
            cache_folder: self.folder.path().join("hub"),
            token: None,
            is_offline: false,
        }
    }

    fn hub(&self) -> Hub {
        Hub::new(self.settings()).unwrap()
    }

    fn offline(&self) -> Hub {
        Hub::new(HubSettings { is_offline: true, ..self.settings() }).unwrap()
    }

    fn with_token(&self) -> Hub {
        Hub::new(HubSettings { token: Token::new(TOKEN).unwrap(), ..self.settings() }).unwrap()
    }

    fn fetch(&self) -> Result<PathBuf, HubError> {
        self.hub().fetch(&model(), &mut ())
    }

    /// The repository's folder in the cache.
    fn repository(&self) -> PathBuf {
        self.folder.path().join("hub/models--org--tiny")
    }

    fn blob(&self, hash: &str) -> PathBuf {
        self.repository().join("blobs").join(hash)
    }

    fn part(&self) -> PathBuf {
        self.blob(&format!("{}.part", sha256(&self.weights)))
    }

    /// Names in a folder of the repository, without locks.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.repository().join(folder))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        names.sort();
        names
    }

    fn assert_whole(&self, folder: &Path) {
        assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), self.weights);
        assert_eq!(fs::read(folder.join("config.json")).unwrap(), CONFIGURATION);
        assert_eq!(fs::read(folder.join("preprocessor_config.json")).unwrap(), PREPROCESSOR);
    }
}

fn files_of(reference: &str) -> HubFiles {
    reference.parse::<ModelReference>().unwrap().files().unwrap()
}

fn model() -> HubFiles {
    files_of("hf:org/tiny")
}

/// Whether a request is for the bytes of the weights, and not for what they are.
fn is_weights(request: &Request) -> bool {
    request.is_storage && request.path == "/storage/model.safetensors"
}

/// Everything that a progress is told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Started(String, u64, u64),
    Finished(String),
    Waiting(String),
    Unchecked(String),
}

#[derive(Default)]
struct Recorded {
    news: Vec<News>,
    advanced: u64,
}

impl DownloadProgress for Recorded {
    fn file_started(&mut self, file: &str, num_bytes: u64, resumed_at: u64) {
        self.news.push(News::Started(file.to_owned(), num_bytes, resumed_at));
    }
    fn advanced(&mut self, num_bytes: u64) {
        self.advanced += num_bytes;
    }
    fn file_finished(&mut self, file: &str) {
        self.news.push(News::Finished(file.to_owned()));
    }
    fn waiting(&mut self, file: &str) {
        self.news.push(News::Waiting(file.to_owned()));
    }
    fn unchecked(&mut self, reason: &HubError) {
        self.news.push(News::Unchecked(reason.to_string()));
    }
}

#[test]
fn a_model_is_fetched_into_pythons_layout_once() {
    let setup = Setup::new();
    let hub = setup.hub();
    assert_eq!(hub.cached(&model()), None);
    let mut progress = Recorded::default();
    let folder = hub.fetch(&model(), &mut progress).unwrap();
    setup.assert_whole(&folder);

    let commit = setup.server.commit();
    assert_eq!(folder, setup.repository().join("snapshots").join(&commit));
    assert_eq!(fs::read_to_string(setup.repository().join("refs/main")).unwrap(), commit);
    assert_eq!(setup.names(&format!(".no_exist/{commit}")), ["tokenizer.json"]);
    let mut hashes = [git_hash(CONFIGURATION), git_hash(PREPROCESSOR), sha256(&setup.weights)];
    hashes.sort();
    assert_eq!(setup.names("blobs"), hashes);
    assert_eq!(setup.names(""), [".no_exist", "blobs", "refs", "snapshots"]);
    #[cfg(unix)]
    for (name, hash) in [("config.json", git_hash(CONFIGURATION)), ("model.safetensors", sha256(&setup.weights))] {
        assert_eq!(fs::read_link(folder.join(name)).unwrap(), Path::new("../../blobs").join(hash));
    }

    let started = |name: &str, bytes: &[u8]| News::Started(name.to_owned(), bytes.len() as u64, 0);
    let finished = |name: &str| News::Finished(name.to_owned());
    assert_eq!(
        progress.news,
        [
            started("preprocessor_config.json", PREPROCESSOR),
            finished("preprocessor_config.json"),
            started("config.json", CONFIGURATION),
            finished("config.json"),
            started("model.safetensors", &setup.weights),
            finished("model.safetensors"),
        ]
    );
    assert_eq!(progress.advanced as usize, PREPROCESSOR.len() + CONFIGURATION.len() + setup.weights.len());

    let requests = setup.server.take_requests();
    assert!(requests.iter().any(is_weights));
    assert!(!requests.iter().any(|request| request.path.contains("README") || request.path.contains(".bin")));
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
    assert!(requests.iter().all(|request| request.header("accept-encoding") == Some("identity")));
    // By the commit: a branch that moves meanwhile must not mix two.
    let by_commit = format!("/org/tiny/resolve/{commit}/");
    let resolved: Vec<_> = requests.iter().filter(|request| request.path.contains("/resolve/")).collect();
    assert_eq!(resolved.len(), 6);
    assert!(resolved.iter().all(|request| request.path.starts_with(&by_commit)), "{resolved:?}");

    assert_eq!(hub.fetch(&model(), &mut ()).unwrap(), folder);
    assert_eq!(hub.cached(&model()), Some(folder.clone()));
    assert_eq!(hub.fetch(&files_of(&format!("hf:org/tiny@{commit}")), &mut ()).unwrap(), folder);
    assert_eq!(setup.server.take_requests(), [], "the second time nobody is asked");
}

/// Python's library writes no notes of absence for files that it was not asked for.
#[test]
fn a_cache_that_python_filled_is_used() {
    let setup = Setup::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = setup.repository().join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(setup.repository().join("refs/pr")).unwrap();
    fs::write(setup.repository().join("refs/pr/1"), commit).unwrap();
    fs::write(snapshot.join("config.json"), CONFIGURATION).unwrap();
    assert_eq!(setup.hub().cached(&files_of("hf:org/tiny@pr/1")), None);
    fs::write(snapshot.join("pytorch_model.bin"), b"weights").unwrap();
    for revision in ["pr/1", commit] {
        let files = files_of(&format!("hf:org/tiny@{revision}"));
        assert_eq!(setup.hub().cached(&files).as_ref(), Some(&snapshot));
        assert_eq!(setup.offline().fetch(&files, &mut ()).unwrap(), snapshot);
    }
    assert_eq!(setup.hub().cached(&model()), None, "main was never asked for");
    assert_eq!(setup.server.take_requests(), []);
    // A hub that cannot be used is no reason not to use what is there. Whether there is more is not known, and said so.
    let unreachable = Hub::new(HubSettings { endpoint: UNUSED_ENDPOINT.to_owned(), ..setup.settings() }).unwrap();
    setup.server.answer_with(|_, _| Reply::new(503, ""));
    for hub in [unreachable, setup.hub()] {
        let mut progress = Recorded::default();
        assert_eq!(hub.fetch(&files_of("hf:org/tiny@pr/1"), &mut progress).unwrap(), snapshot);
        assert!(matches!(progress.news[..], [News::Unchecked(_)]), "{:?}", progress.news);
        assert!(hub.refresh(&files_of("hf:org/tiny@pr/1"), &mut ()).is_err());
    }
}

#[test]
fn hostile_references_in_the_cache_are_not_followed() {
    let setup = Setup::new();
    let whole = setup.fetch().unwrap();
    // Whole models, in places that are no snapshots of commits.
    let elsewhere = setup.folder.path().join("elsewhere");
    for folder in [elsewhere.clone(), setup.repository().join("snapshots/main")] {
        fs::create_dir(&folder).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(whole.join(name), folder.join(name)).unwrap();
        }
    }
    for hostile in ["../../../elsewhere", elsewhere.to_str().unwrap(), "main", "", "."] {
        fs::write(setup.repository().join("refs/main"), hostile).unwrap();
        assert_eq!(setup.hub().cached(&model()), None, "{hostile:?}");
    }
}

#[test]
fn a_content_that_is_there_already_is_not_downloaded_again() {
    let setup = Setup::new();
    setup.fetch().unwrap();
    setup.server.replace_files(&[("config.json", b"{\"hidden_size\": 9}"), ("model.safetensors", &setup.weights)]);
    let old = setup.hub().fetch(&model(), &mut ()).unwrap();
    assert_eq!(fs::read(old.join("config.json")).unwrap(), CONFIGURATION, "a branch stays where it was");
    setup.server.take_requests();

    let new = setup.hub().refresh(&model(), &mut ()).unwrap();
    assert_ne!(new, old);
    assert_eq!(fs::read(new.join("config.json")).unwrap(), b"{\"hidden_size\": 9}");
    assert_eq!(fs::read(new.join("model.safetensors")).unwrap(), setup.weights);
    assert!(!new.join("preprocessor_config.json").exists());
    assert!(!setup.server.take_requests().iter().any(is_weights));
    assert_eq!(setup.hub().fetch(&model(), &mut ()).unwrap(), new);
    setup.assert_whole(&old);

    // A content that was damaged on the disk is replaced for both.
    fs::remove_file(new.join("model.safetensors")).unwrap();
    let blob = setup.blob(&sha256(&setup.weights));
    fs::write(&blob, &setup.weights[1..]).unwrap();
    setup.hub().fetch(&model(), &mut ()).unwrap();
    assert_eq!(fs::read(&blob).unwrap(), setup.weights);

    // A link to a content that is gone is made anew.
    fs::remove_file(&blob).unwrap();
    assert_eq!(setup.hub().cached(&model()), None);
    setup.hub().fetch(&model(), &mut ()).unwrap();
    assert_eq!(fs::read(new.join("model.safetensors")).unwrap(), setup.weights);
}

#[test]
fn a_download_that_broke_off_is_continued() {
    continues_after(|reply, kept| Reply { cut: Some(kept), ..reply });
}

#[test]
fn a_body_that_ends_too_early_is_continued() {
    continues_after(|reply, kept| Reply { body: reply.body[..kept].to_vec(), ..reply });
}

fn continues_after(fault: fn(Reply, usize) -> Reply) {
    let setup = Setup::new();
    let kept = 500_001;
    setup.server.answer_with(move |request, reply| match is_weights(request) {
        true => fault(reply, kept),
        false => reply,
    });
    let error = setup.fetch().unwrap_err();
    let HubError::Interrupted { received, expected, .. } = error else { panic!("{error}") };
    assert_eq!((received as usize, expected as usize), (kept, setup.weights.len()));
    let message = error.to_string();
    assert!(message.contains("model.safetensors") && message.contains("run the same command again"), "{message}");
    assert_eq!(fs::read(setup.part()).unwrap(), &setup.weights[..kept]);
    assert_eq!(setup.hub().cached(&model()), None);
    assert!(!setup.repository().join("refs/main").exists());

    setup.server.answer_as_usual();
    setup.server.take_requests();
    let mut progress = Recorded::default();
    let folder = setup.hub().fetch(&model(), &mut progress).unwrap();
    setup.assert_whole(&folder);
    let total = setup.weights.len() as u64;
    let weights = "model.safetensors".to_owned();
    assert_eq!(progress.news, [News::Started(weights.clone(), total, kept as u64), News::Finished(weights)]);
    assert_eq!(progress.advanced, total - kept as u64);
    let requests = setup.server.take_requests();
    let ranges: Vec<_> =
        requests.iter().filter(|request| is_weights(request)).map(|request| request.header("range")).collect();
    assert_eq!(ranges, [Some("bytes=500001-")]);
    assert!(!setup.part().exists());
}

#[test]
fn a_server_that_knows_no_ranges_sends_the_whole_file_and_nothing_is_added_twice() {
    let setup = Setup::new();
    let whole = setup.weights.clone();
    setup.server.answer_with(
        move |request, reply| {
            if is_weights(request) { Reply::new(200, whole.clone()) } else { reply }
        },
    );
    fs::create_dir_all(setup.repository().join("blobs")).unwrap();
    fs::write(setup.part(), &setup.weights[..1000]).unwrap();
    let mut progress = Recorded::default();
    let folder = setup.hub().fetch(&model(), &mut progress).unwrap();
    setup.assert_whole(&folder);
    let weights = "model.safetensors".to_owned();
    let started = News::Started(weights.clone(), setup.weights.len() as u64, 0);
    assert_eq!(progress.news[progress.news.len() - 2..], [started, News::Finished(weights)]);
    assert_eq!(progress.advanced as usize, PREPROCESSOR.len() + CONFIGURATION.len() + setup.weights.len());
    let requests = setup.server.take_requests();
    assert!(requests.iter().any(|request| is_weights(request) && request.header("range") == Some("bytes=1000-")));
}

#[test]
fn what_an_earlier_download_left_is_used_only_if_it_fits() {
    let whole = weights();
    let wrong_start = [&[b'x'; 1000], &whole[1000..2000]].concat();
    let wrong_whole = vec![b'x'; whole.len()];
    let too_long = [whole.as_slice(), b"x"].concat();
    for (left, ranges) in [
        (whole.as_slice(), vec![]),
        (wrong_start.as_slice(), vec![Some("bytes=2000-"), None]),
        (wrong_whole.as_slice(), vec![None]),
        (too_long.as_slice(), vec![None]),
        (&[], vec![None]),
    ] {
        let setup = Setup::new();
        fs::create_dir_all(setup.repository().join("blobs")).unwrap();
        fs::write(setup.part(), left).unwrap();
        let folder = setup.fetch().unwrap();
        setup.assert_whole(&folder);
        let requests = setup.server.take_requests();
        let found: Vec<_> =
            requests.iter().filter(|request| is_weights(request)).map(|request| request.header("range")).collect();
        assert_eq!(found, ranges, "{} bytes were left", left.len());
        assert!(!setup.part().exists());
    }
}

/// Of a content that is not what the hub says, nothing stays: no blob, no part, no link, no reference.
#[test]
fn a_wrong_content_leaves_nothing() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let flip: Change = |mut body| {
        body[1000] ^= 1;
        body
    };
    let lengthen: Change = |mut body| {
        body.push(0);
        body
    };
    for (file, change) in [
        ("model.safetensors", flip),
        ("model.safetensors", lengthen),
        ("config.json", |mut body| {
            body[3] ^= 1;
            body
        }),
    ] {
        let setup = Setup::new();
        setup.server.answer_with(move |request, reply| {
            let is_body = request.header("range") != Some("bytes=0-0");
            if is_body && reply.status == 200 && request.path.ends_with(&format!("/{file}")) {
                let body = change(reply.body.clone());
                return Reply { body, ..reply };
            }
            reply
        });
        let error = setup.fetch().unwrap_err();
        let HubError::Integrity { file: named, expected, found } = &error else { panic!("{error}") };
        assert_eq!(named, file);
        assert_ne!(expected, found);
        let commit = setup.server.commit();
        let hash = if file == "config.json" { git_hash(CONFIGURATION) } else { sha256(&setup.weights) };
        assert!(!setup.names("blobs").iter().any(|name| name.starts_with(&hash)), "{:?}", setup.names("blobs"));
        assert!(!setup.names(&format!("snapshots/{commit}")).contains(&file.to_owned()));
        assert!(!setup.repository().join("refs/main").exists());
        assert_eq!(setup.hub().cached(&model()), None);

        setup.server.answer_as_usual();
        setup.assert_whole(&setup.fetch().unwrap());
    }
}

#[test]
fn the_wrong_part_of_a_file_is_not_added() {
    let setup = Setup::new();
    fs::create_dir_all(setup.repository().join("blobs")).unwrap();
    fs::write(setup.part(), &setup.weights[..1000]).unwrap();
    setup.server.answer_with(|request, reply| {
        if is_weights(request) && request.header("range").is_some() {
            return Reply::new(206, "from elsewhere").with("Content-Range", "bytes 7-20/1200000");
        }
        reply
    });
    setup.assert_whole(&setup.fetch().unwrap());
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    // Every write to this device fails as on a full disk.
    let device = Path::new("/dev/full");
    if !device.exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let setup = Setup::new();
    fs::create_dir_all(setup.repository().join("blobs")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(device, setup.part()).unwrap();
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("1200000 bytes are still to come"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let setup = Setup::new();
    fs::write(setup.folder.path().join("hub"), "a file where the folder should be").unwrap();
    let error = setup.fetch().unwrap_err();
    let HubError::Io { path, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(setup.folder.path()), "{error}");
}

#[test]
fn a_token_opens_a_private_repository() {
    let setup = Setup::new();
    setup.server.answer_with(|request, reply| {
        let is_known = request.header("authorization") == Some(&format!("Bearer {TOKEN}"));
        match request.is_storage || is_known {
            true => reply,
            false => Reply::new(401, "Invalid username or password.").with("X-Error-Code", "RepoNotFound"),
        }
    });
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::RepositoryNotFound { has_token: false, .. }), "{error}");
    assert!(error.to_string().contains("set HF_TOKEN"), "{error}");

    setup.server.take_requests();
    setup.assert_whole(&setup.with_token().fetch(&model(), &mut ()).unwrap());
    let requests = setup.server.take_requests();
    assert!(requests.iter().any(|request| request.is_storage));
    for request in requests {
        // What the storage gets, whoever runs it, must not hold the token.
        assert_eq!(request.header("authorization").is_some(), !request.is_storage, "{request:?}");
        assert!(!request.is_storage || !format!("{request:?}").contains(TOKEN));
    }
}

#[test]
fn a_gated_repository_says_what_to_do() {
    let setup = Setup::new();
    // The list is open to all, the files are not.
    setup.server.answer_with(|request, reply| match request.path.starts_with("/api/models") {
        true => reply,
        false if request.headers.contains_key("authorization") => Reply::new(403, "").with("X-Error-Code", "GatedRepo"),
        false => Reply::new(401, "").with("X-Error-Code", "GatedRepo"),
    });
    let page = format!("{}/org/tiny", setup.server.endpoint());
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::Refused { status: 401, has_token: false, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("set HF_TOKEN") && message.contains(&page), "{message}");
    let error = setup.with_token().fetch(&model(), &mut ()).unwrap_err();
    assert!(matches!(error, HubError::Refused { status: 403, has_token: true, .. }), "{error}");
    assert!(error.to_string().contains(&page) && !format!("{error} {error:?}").contains(TOKEN), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let setup = Setup::new();
    let fetch = |hub: &Hub, reference: &str| hub.fetch(&files_of(reference), &mut ()).unwrap_err();
    for (hub, has) in [(setup.hub(), false), (setup.with_token(), true)] {
        let error = fetch(&hub, "hf:org/other");
        assert!(matches!(error, HubError::RepositoryNotFound { has_token, .. } if has_token == has), "{error}");
        assert!(error.to_string().contains("org/other: no such repository on http://127.0.0.1:"), "{error}");
    }
    let error = fetch(&setup.hub(), "hf:org/tiny@v9");
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"), "{error}");
    // A file that vanishes between the list and the download.
    setup.server.answer_with(|request, reply| {
        if request.path.ends_with("/config.json") {
            Reply::new(404, "").with("X-Error-Code", "EntryNotFound")
        } else {
            reply
        }
    });
    let error = fetch(&setup.hub(), "hf:org/tiny");
    assert_eq!(error.to_string(), "org/tiny: expected config.json, found none of that name");
}

#[test]
fn a_repository_without_a_model_says_what_it_holds() {
    let setup = Setup::with_files(&[("config.json", b"{}"), ("tf_model.h5", b""), ("bad\n\u{1b}[2Jname", b"")]);
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::FilesNotFound { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("model.safetensors or pytorch_model.bin") && message.contains("tf_model.h5"), "{message}");
    assert!(!message.contains('\u{1b}') && !message.contains('\n'), "{message}");
    assert_eq!(setup.names("snapshots"), [""; 0]);

    let setup = Setup::with_files(&[("model.safetensors", b"")]);
    assert!(setup.fetch().unwrap_err().to_string().contains("expected config.json and"));
    let setup = Setup::with_files(&[]);
    assert!(setup.fetch().unwrap_err().to_string().contains("found no files"));
}

#[test]
fn shards_are_fetched_as_their_index_says() {
    let index = br#"{"metadata": {}, "weight_map":
        {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}"#;
    let files: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("model-3.safetensors", b"not named"),
    ];
    let setup = Setup::with_files(&files);
    let folder = setup.fetch().unwrap();
    assert_eq!(fs::read(folder.join("model-1.safetensors")).unwrap(), b"one");
    assert_eq!(fs::read(folder.join("model-2.safetensors")).unwrap(), b"two");
    assert!(!folder.join("model-3.safetensors").exists());
    assert_eq!(setup.hub().cached(&model()), Some(folder.clone()));
    fs::remove_file(folder.join("model-2.safetensors")).unwrap();
    assert_eq!(setup.hub().cached(&model()), None, "a shard is missing");

    let setup = Setup::with_files(&files[..3]);
    let error = setup.fetch().unwrap_err().to_string();
    assert!(error.contains("expected model-2.safetensors, as model.safetensors.index.json says"), "{error}");
    assert_eq!(setup.hub().cached(&model()), None);
}

/// Names come from a server. Only names that this program chose, or plain ones that an index gives, become paths.
#[test]
fn hostile_names_never_become_paths() {
    for name in ["../../../escaped.safetensors", "/tmp/escaped.safetensors", "a/escaped.safetensors", "..", ".hidden"] {
        let index = format!("{{\"weight_map\": {{\"a\": {name:?}}}}}");
        let setup = Setup::with_files(&[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", index.as_bytes()),
            (name, b"escaped"),
            ("../config.json", b"escaped"),
            ("/etc/passwd", b"escaped"),
        ]);
        let error = setup.fetch().unwrap_err().to_string();
        assert!(error.contains("expected names of files beside the index"), "{error}");
        let requests = setup.server.take_requests();
        assert!(!requests.iter().any(|request| request.path.contains("escaped") || request.path.contains("..")));
        assert_eq!(fs::read_dir(setup.folder.path()).unwrap().count(), 1);
    }
}

/// `hf-hub` takes the names of files on disk from these headers as they come.
#[test]
fn hostile_answers_never_become_paths() {
    for (header, value) in [
        ("X-Linked-ETag", "../../../../escaped"),
        ("X-Linked-ETag", "/tmp/escaped"),
        ("X-Linked-ETag", ""),
        ("X-Linked-ETag", "ABCDEF"),
        ("X-Linked-Size", "99999999999999999999999"),
        ("X-Linked-Size", "-1"),
    ] {
        let setup = Setup::new();
        setup.server.answer_with(move |_, reply| match reply.headers.iter().any(|(name, _)| name == header) {
            true => reply.with(header, value),
            false => reply,
        });
        match setup.fetch() {
            // The size is then taken from the storage.
            Ok(folder) if header == "X-Linked-Size" => setup.assert_whole(&folder),
            Ok(_) => panic!("{header}: {value:?} was accepted"),
            Err(error) => assert!(matches!(error, HubError::Protocol { .. }), "{header}: {value:?}: {error}"),
        }
        assert_eq!(fs::read_dir(setup.folder.path()).unwrap().count(), 1);
    }
    for description in [
        "{\"sha\": \"../../escaped\", \"siblings\": []}",
        "{\"sha\": \"main\", \"siblings\": []}",
        "{\"siblings\": []}",
        "[]",
        "<html>",
        "",
        "\u{fffd}",
    ] {
        let setup = Setup::new();
        setup.server.answer_with(move |_, _| Reply::new(200, description));
        let error = setup.fetch().unwrap_err();
        assert!(matches!(error, HubError::Protocol { .. }), "{description}: {error}");
        assert!(!setup.folder.path().join("hub").exists());
    }
}

#[test]
fn redirects_end() {
    for location in [Some("/again"), Some("no address"), Some("file:///etc/passwd"), None] {
        let setup = Setup::new();
        setup.server.answer_with(move |_, _| match location {
            Some(location) => Reply::new(302, "").with("Location", location),
            None => Reply::new(302, ""),
        });
        let error = setup.fetch().unwrap_err();
        assert!(matches!(error, HubError::Protocol { .. }), "{location:?}: {error}");
        assert!(setup.server.take_requests().len() <= 11);
    }
}

/// Renamed repositories answer so.
#[test]
fn a_repository_that_moved_is_found() {
    let setup = Setup::new();
    setup.server.answer_with(|request, reply| match request.path.replace("org/old", "org/tiny") {
        moved if moved != request.path => Reply::new(307, "").with("Location", moved),
        _ => reply,
    });
    let folder = setup.hub().fetch(&files_of("hf:org/old"), &mut ()).unwrap();
    setup.assert_whole(&folder);
    assert!(folder.starts_with(setup.folder.path().join("hub/models--org--old")));
}

#[test]
fn another_commit_than_the_one_asked_for_is_refused() {
    let setup = Setup::new();
    let asked = "0123456789abcdef0123456789abcdef01234567";
    let commit = setup.server.commit();
    setup.server.answer_with(move |_, _| Reply::new(200, format!("{{\"sha\": \"{commit}\"}}")));
    let error = setup.hub().fetch(&files_of(&format!("hf:org/tiny@{asked}")), &mut ()).unwrap_err();
    assert!(error.to_string().contains(&format!("expected commit {asked}")), "{error}");
}

#[test]
fn offline_uses_the_cache_alone() {
    let setup = Setup::new();
    let error = setup.offline().fetch(&model(), &mut ()).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    let message = error.to_string();
    let folder = setup.settings().cache_folder;
    for part in ["org/tiny", "config.json", "model.safetensors", "main", folder.to_str().unwrap(), "HF_HUB_OFFLINE"] {
        assert!(message.contains(part), "{part} is missing: {message}");
    }
    assert_eq!(setup.server.take_requests(), []);
    let folder = setup.fetch().unwrap();
    setup.server.take_requests();
    assert_eq!(setup.offline().fetch(&model(), &mut ()).unwrap(), folder);
    assert_eq!(setup.offline().refresh(&model(), &mut ()).unwrap(), folder);
    assert_eq!(setup.server.take_requests(), []);
}

/// An address where nobody listens: no system gives this port to a program that asks for any.
const UNUSED_ENDPOINT: &str = "http://127.0.0.1:1";

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let setup = Setup::new();
    let endpoint = UNUSED_ENDPOINT;
    let hub = Hub::new(HubSettings { endpoint: endpoint.to_owned(), ..setup.settings() }).unwrap();
    let error = hub.fetch(&model(), &mut ()).unwrap_err();
    assert!(matches!(&error, HubError::Network { host, .. } if *host == endpoint), "{error}");
    assert!(error.to_string().starts_with(&format!("{endpoint} cannot be reached")), "{error}");
}

#[test]
fn errors_of_servers_are_told_with_their_number() {
    let setup = Setup::new();
    for status in [429, 500, 503] {
        setup.server.answer_with(move |_, _| Reply::new(status, ""));
        let error = setup.fetch().unwrap_err();
        assert!(matches!(error, HubError::Status { status: found, .. } if found == status), "{error}");
        assert!(error.to_string().contains(&format!("answered {status} for the files of org/tiny")), "{error}");
    }
    // A storage's refusal is not the repository's.
    setup.server.answer_with(|request, reply| if request.is_storage { Reply::new(403, "") } else { reply });
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::Status { status: 403, .. }), "{error}");
}

#[test]
fn companions_are_a_configuration_with_or_without_a_tokenizer() {
    let setup =
        Setup::with_files(&[("config.json", b"{}"), ("tokenizer.json", b"{\"a\": 1}"), ("model.safetensors", b"x")]);
    let files = |wanted| HubFiles { wanted, ..model() };
    let folder = setup.hub().fetch(&files(Wanted::Configuration), &mut ()).unwrap();
    let commit = setup.server.commit();
    assert_eq!(setup.names(&format!("snapshots/{commit}")), ["config.json"]);
    assert_eq!(setup.hub().cached(&files(Wanted::ConfigurationAndTokenizer)), None);
    assert_eq!(setup.hub().fetch(&files(Wanted::ConfigurationAndTokenizer), &mut ()).unwrap(), folder);
    assert_eq!(setup.names(&format!("snapshots/{commit}")), ["config.json", "tokenizer.json"]);
    assert_eq!(setup.hub().cached(&files(Wanted::Model)), None);
    let setup = Setup::new();
    let error = setup.hub().fetch(&files(Wanted::ConfigurationAndTokenizer), &mut ()).unwrap_err();
    assert!(error.to_string().contains("expected config.json and tokenizer.json"), "{error}");
}

#[test]
fn a_known_model_with_files_of_its_own_is_opened_by_its_weights() {
    let files: [(&str, &[u8]); 4] = [
        ("pretrained_msd.pt", b"msd"),
        ("msd_stats.json", b"{}"),
        ("pretrained_fma.pt", b"fma"),
        ("fma_stats.json", b"{\"a\": 1}"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = LocalHub::serve("minzwon/MusicFM", &files);
    let settings = HubSettings {
        endpoint: server.endpoint(),
        cache_folder: folder.path().to_owned(),
        token: None,
        is_offline: false,
    };
    let hub = Hub::new(settings).unwrap();
    for (name, weights, statistics) in
        [("musicfm-msd", "pretrained_msd.pt", "msd_stats.json"), ("musicfm-fma", "pretrained_fma.pt", "fma_stats.json")]
    {
        assert_eq!(hub.cached(&files_of(name)), None);
        let path = hub.fetch(&files_of(name), &mut ()).unwrap();
        assert_eq!(path.file_name().unwrap(), weights);
        assert!(path.is_file() && path.with_file_name(statistics).is_file());
        assert_eq!(hub.cached(&files_of(name)), Some(path));
    }
}

#[test]
fn a_second_process_waits_and_finds_the_file_there() {
    let setup = Setup::new();
    // What another process would hold; it has all of the file but for the name.
    fs::create_dir_all(setup.repository().join("blobs")).unwrap();
    let hash = sha256(&setup.weights);
    let lock = fs::File::create(setup.blob(&format!("{hash}.lock"))).unwrap();
    lock.lock().unwrap();

    struct Announced(mpsc::Sender<String>);
    impl DownloadProgress for Announced {
        fn file_started(&mut self, _file: &str, _num_bytes: u64, _resumed_at: u64) {}
        fn advanced(&mut self, _num_bytes: u64) {}
        fn file_finished(&mut self, _file: &str) {}
        fn waiting(&mut self, file: &str) {
            self.0.send(file.to_owned()).unwrap();
        }
        fn unchecked(&mut self, _reason: &HubError) {}
    }
    let (sender, receiver) = mpsc::channel();
    let hub = setup.hub();
    let waiting = std::thread::spawn(move || hub.fetch(&model(), &mut Announced(sender)));
    assert_eq!(receiver.recv().unwrap(), "model.safetensors");
    fs::write(setup.blob(&hash), &setup.weights).unwrap();
    lock.unlock().unwrap();
    setup.assert_whole(&waiting.join().unwrap().unwrap());
    assert!(!setup.server.take_requests().iter().any(is_weights));
}

#[test]
fn many_at_once_download_each_content_once() {
    let setup = Setup::new();
    let downloads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&downloads);
    setup.server.answer_with(move |request, reply| {
        counter.fetch_add(usize::from(is_weights(request)), Ordering::SeqCst);
        reply
    });
    std::thread::scope(|scope| {
        let fetch = || setup.fetch();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(fetch)).collect();
        for thread in threads {
            setup.assert_whole(&thread.join().unwrap().unwrap());
        }
    });
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
}

/// A proxy is for other machines. The test runs itself with one that nobody is behind.
#[test]
fn proxies_are_not_asked_for_this_machine() {
    let mut test = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        test.env(name, UNUSED_ENDPOINT);
    }
    test.env_remove("NO_PROXY").env_remove("no_proxy");
    let name = "a_model_is_fetched_into_pythons_layout_once";
    let output = test.args(["--exact", name, "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
