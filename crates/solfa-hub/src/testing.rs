//! A hub on this machine, for the tests of every crate: it speaks the Hugging Face hub's protocol on the loopback
//! address, with the answers that the hub gives, and with any other that a test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A hub with one repository. It listens on two ports of 127.0.0.1, the hub's and that of the storage for large files,
/// and stops when it is dropped.
///
/// As on the real one, a large file (by its name) is redirected to the storage, whose answer has another ETag, and a
/// small one to another path of the hub.
pub struct LocalHub {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether the storage was asked, and not the hub.
    pub is_storage: bool,
    /// Whether only the headers are asked for. The usual answer then has the headers of the whole file.
    pub is_head: bool,
    /// Path and query.
    pub path: String,
    /// Names in lower case, with their values.
    pub headers: BTreeMap<String, String>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names and values. `Content-Length` is added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Where to break the connection off, in bytes of the body.
    pub cut: Option<usize>,
}

type Handler = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

struct Shared {
    hub: SocketAddr,
    storage: SocketAddr,
    is_stopping: AtomicBool,
    repository: String,
    content: Mutex<RepositoryContent>,
    log: Mutex<Vec<Request>>,
    handler: Mutex<Option<Box<Handler>>>,
}

#[derive(Default)]
struct RepositoryContent {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl LocalHub {
    /// Serves a repository with these files.
    ///
    /// # Panics
    /// Where no port of 127.0.0.1 can be had.
    pub fn serve(repository: &str, files: &[(&str, &[u8])]) -> Self {
        let listen = || TcpListener::bind(("127.0.0.1", 0)).expect("a port of 127.0.0.1");
        let address = |listener: &TcpListener| listener.local_addr().expect("its address");
        let listeners = [listen(), listen()];
        let shared = Arc::new(Shared {
            hub: address(&listeners[0]),
            storage: address(&listeners[1]),
            is_stopping: AtomicBool::new(false),
            repository: repository.to_owned(),
            content: Mutex::default(),
            log: Mutex::default(),
            handler: Mutex::default(),
        });
        let threads = listeners
            .into_iter()
            .zip([false, true])
            .map(|(listener, is_storage)| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || accept(&shared, &listener, is_storage))
            })
            .collect();
        let hub = Self { shared, threads };
        hub.replace_files(files);
        hub
    }

    /// What `HF_ENDPOINT` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// The commit that `main` is at: another one for other files.
    pub fn commit(&self) -> String {
        lock(&self.shared.content).commit.clone()
    }

    /// Moves `main` to a commit with these files.
    pub fn replace_files(&self, files: &[(&str, &[u8])]) {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let commit = hexadecimal(&Sha1::digest(format!("{files:?}")));
        *lock(&self.shared.content) = RepositoryContent { commit, files };
    }

    /// From now on, every answer is what `handler` makes of the usual one.
    pub fn answer_with(&self, handler: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) {
        *lock(&self.shared.handler) = Some(Box::new(handler));
    }

    /// From now on, answers are the usual ones.
    pub fn answer_as_usual(&self) {
        *lock(&self.shared.handler) = None;
    }

    /// The requests since the last time that this was asked.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.shared.log))
    }
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        for address in [self.shared.hub, self.shared.storage] {
            // Wakes the thread that waits for a connection.
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Reply {
    /// An answer without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// With a header more, or another value of one.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }
}

/// The SHA-256 of a large file's bytes, as the hub gives it.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The git hash of a small file's bytes, as the hub gives it.
pub fn git_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// Whether the hub keeps a file in the storage.
pub fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".pt"].iter().any(|ending| name.ends_with(ending))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A test that fails while it holds a lock shows its own failure, not the lock's.
fn lock<Value>(mutex: &Mutex<Value>) -> MutexGuard<'_, Value> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(shared: &Shared, listener: &TcpListener, is_storage: bool) {
    for stream in listener.incoming() {
        if shared.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        // A client that goes away early is none of the server's troubles.
        let _ = stream.and_then(|stream| serve(shared, stream, is_storage));
    }
}

/// One request on one connection.
fn serve(shared: &Shared, mut stream: TcpStream, is_storage: bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let is_head = first.starts_with("HEAD ");
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let request = Request { is_storage, is_head, path, headers };
    let usual = usual_reply(shared, &request);
    let reply = match &*lock(&shared.handler) {
        Some(handler) => handler(&request, usual),
        None => usual,
    };
    lock(&shared.log).push(request);
    let mut head =
        format!("HTTP/1.1 {} Reply\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if !is_head {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
    }
    stream.shutdown(Shutdown::Both)
}

/// What the real hub, or its storage, would answer.
fn usual_reply(shared: &Shared, request: &Request) -> Reply {
    let content = lock(&shared.content);
    let RepositoryContent { commit, files } = &*content;
    let Shared { repository, storage, .. } = shared;
    let path = request.path.as_str();
    if request.is_storage {
        let file = path.strip_prefix("/storage/").and_then(|name| files.get(name));
        let Some(file) = file else { return Reply::new(404, "no such object") };
        // As the real one has it: a hash, and not that of the content.
        return ranged(request, file).with("ETag", format!("\"{}\"", sha256(&[b"stored ", file.as_slice()].concat())));
    }
    let error = |status, code: &str| Reply::new(status, "").with("X-Error-Code", code);
    let revision_of = |rest: &str| {
        let (revision, name) = rest.split_once('/').unwrap_or((rest, ""));
        (revision == "main" || revision == commit).then(|| name.to_owned())
    };
    if let Some(rest) = path.strip_prefix(&format!("/api/models/{repository}/revision/")) {
        if revision_of(rest).is_none() {
            return error(404, "RevisionNotFound");
        }
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        return Reply::new(
            200,
            serde_json::json!({ "id": repository, "sha": commit, "siblings": siblings, "gated": false }).to_string(),
        );
    }
    if let Some(rest) = path.strip_prefix(&format!("/{repository}/resolve/")) {
        let Some(name) = revision_of(rest) else { return error(404, "RevisionNotFound") };
        let Some(file) = files.get(&name) else { return error(404, "EntryNotFound") };
        if !is_large(&name) {
            return Reply::new(307, "")
                .with("Location", format!("/api/resolve-cache/models/{repository}/{commit}/{name}"));
        }
        return Reply::new(302, "Found. Redirecting")
            .with("Location", format!("http://{storage}/storage/{name}"))
            .with("X-Repo-Commit", commit)
            .with("X-Linked-ETag", format!("\"{}\"", sha256(file)))
            .with("X-Linked-Size", file.len().to_string());
    }
    if let Some(name) = path.strip_prefix(&format!("/api/resolve-cache/models/{repository}/{commit}/")) {
        let Some(file) = files.get(name) else { return error(404, "EntryNotFound") };
        return ranged(request, file).with("X-Repo-Commit", commit).with("ETag", format!("\"{}\"", git_hash(file)));
    }
    // Someone unknown is not told what is missing and what is private.
    if request.header("authorization").is_some() { error(404, "RepoNotFound") } else { error(401, "RepoNotFound") }
}

/// A file, or the part of it that a request asks for.
fn ranged(request: &Request, file: &[u8]) -> Reply {
    let Some(range) = request.header("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return Reply::new(200, file);
    };
    let (start, end) = range.split_once('-').unwrap_or((range, ""));
    let start: usize = start.parse().unwrap_or_default();
    if start >= file.len() {
        return Reply::new(416, "").with("Content-Range", format!("bytes */{}", file.len()));
    }
    let last = end.parse().unwrap_or(usize::MAX).min(file.len() - 1);
    Reply::new(206, &file[start..=last]).with("Content-Range", format!("bytes {start}-{last}/{}", file.len()))
}
