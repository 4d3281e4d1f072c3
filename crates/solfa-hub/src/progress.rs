//! News of downloads.

use crate::error::HubError;

/// Is told of downloads as they go on. `()` takes no notice.
pub trait DownloadProgress {
    /// A file of `num_bytes` is being downloaded, and the first `resumed_at` bytes are there from an earlier time. May
    /// come twice for one file, where those bytes turn out to be wrong.
    fn file_started(&mut self, file: &str, num_bytes: u64, resumed_at: u64);
    /// So many bytes more are there.
    fn advanced(&mut self, num_bytes: u64);
    /// The file is there, and is what the hub says.
    fn file_finished(&mut self, file: &str);
    /// Another process is downloading the file: this one waits for it.
    fn waiting(&mut self, file: &str);
    /// What is in the cache is used, but whether the repository has further files that belong to the model (such as
    /// `preprocessor_config.json`) could not be found out, for this reason.
    fn unchecked(&mut self, reason: &HubError);
}

impl DownloadProgress for () {
    fn file_started(&mut self, _file: &str, _num_bytes: u64, _resumed_at: u64) {}
    fn advanced(&mut self, _num_bytes: u64) {}
    fn file_finished(&mut self, _file: &str) {}
    fn waiting(&mut self, _file: &str) {}
    fn unchecked(&mut self, _reason: &HubError) {}
}
