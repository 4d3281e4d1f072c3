//! A model's files: from the cache, or from the hub into it.

use std::path::PathBuf;

use crate::cache::{LARGEST_INDEX, Optional, RepositoryCache, io_error, is_commit, read_index};
use crate::client::{Client, Listing};
use crate::download::download;
use crate::error::HubError;
use crate::progress::DownloadProgress;
use crate::reference::HubFiles;
use crate::settings::{HubSettings, checked_endpoint};
use crate::wanted::{Weights, shards_of};

/// A hub and the cache of its files.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: HubSettings,
}

impl Hub {
    /// # Errors
    /// An endpoint that can be none.
    pub fn new(settings: HubSettings) -> Result<Self, HubError> {
        let endpoint = checked_endpoint(&settings.endpoint)?;
        Ok(Self { settings: HubSettings { endpoint, ..settings } })
    }

    /// What this was made with.
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// What is to be opened, if all the files that are needed are in the cache: the folder of the snapshot, or for
    /// [`crate::wanted::Wanted::Exactly`] its first file. Asks no server, and does not read the files.
    pub fn cached(&self, files: &HubFiles) -> Option<PathBuf> {
        self.find(files, Optional::MayBeMissing)
    }

    /// What is to be opened, as by [`Hub::cached`], after downloading what is missing.
    ///
    /// Files that are in the cache are used without asking a server, so a branch stays at the commit that it was first
    /// fetched at, and a run gives tomorrow what it gives today. (Python's library asks each time; [`Hub::refresh`]
    /// does.) One exception: another program that has filled the cache may have left out files that are taken if they
    /// exist. Then the server is asked once whether they do. If it cannot be reached, or the cache cannot be written,
    /// what is there is used, and `progress` told so.
    ///
    /// Every downloaded file is verified by the hash that the hub gives. A download that broke off is continued by the
    /// next call. Two processes at once wait for each other.
    ///
    /// # Errors
    /// See [`HubError`].
    pub fn fetch(&self, files: &HubFiles, progress: &mut dyn DownloadProgress) -> Result<PathBuf, HubError> {
        if let Some(path) = self.find(files, Optional::Known) {
            return Ok(path);
        }
        let cached = self.cached(files);
        if self.settings.is_offline {
            return cached.ok_or_else(|| self.offline(files));
        }
        match (self.download(files, progress), cached) {
            (Err(error), Some(path)) if error.is_about_access() => {
                progress.unchecked(&error);
                Ok(path)
            }
            (outcome, _) => outcome,
        }
    }

    /// As [`Hub::fetch`], but asks what commit the branch is at now, unless offline.
    ///
    /// # Errors
    /// See [`HubError`]; a hub that cannot be reached is always one.
    pub fn refresh(&self, files: &HubFiles, progress: &mut dyn DownloadProgress) -> Result<PathBuf, HubError> {
        if self.settings.is_offline {
            return self.fetch(files, progress);
        }
        self.download(files, progress)
    }

    fn cache_of(&self, files: &HubFiles) -> RepositoryCache {
        RepositoryCache::new(&self.settings.cache_folder, &files.repository)
    }

    fn find(&self, files: &HubFiles, optional: Optional) -> Option<PathBuf> {
        let snapshot = self.cache_of(files).find(files.repository.revision(), &files.wanted, optional)?;
        Some(match files.wanted.file_to_open() {
            Some(name) => snapshot.join(name),
            None => snapshot,
        })
    }

    fn offline(&self, files: &HubFiles) -> HubError {
        HubError::Offline {
            repository: files.repository.name().to_owned(),
            revision: files.repository.revision().to_owned(),
            wanted: files.wanted.describe(),
            folder: self.settings.cache_folder.clone(),
        }
    }

    /// Downloads what is missing of the commit that the revision is at.
    fn download(&self, files: &HubFiles, progress: &mut dyn DownloadProgress) -> Result<PathBuf, HubError> {
        let HubFiles { repository, wanted } = files;
        let listing = Client::new(&self.settings, repository, repository.revision())?.list()?;
        let commit = listing.commit.as_str();
        if is_commit(repository.revision()) && commit != repository.revision() {
            return Err(HubError::Protocol {
                host: self.settings.endpoint.clone(),
                what: format!("the files of {}", repository.name()),
                reason: format!("expected commit {}, found {commit}", repository.revision()),
            });
        }
        let has = |name: &str| listing.files.iter().any(|file| file == name);
        let missing = || HubError::FilesNotFound {
            repository: repository.name().to_owned(),
            expected: wanted.describe(),
            found: list_names(&listing),
        };
        let weights = wanted.weights(has);
        if weights == Some(None) || !wanted.required().iter().all(|name| has(name)) {
            return Err(missing());
        }
        let weights = weights.flatten();

        // All files are asked for by the commit: a branch that moves meanwhile must not mix two.
        let client = Client::new(&self.settings, repository, commit)?;
        let cache = self.cache_of(files);
        let mut get = |name: &str| download(&client, &cache, commit, name, progress);
        for name in wanted.optional() {
            if has(name) {
                get(name)?;
            } else {
                cache.mark_absent(commit, name)?;
            }
        }
        for name in wanted.required() {
            get(name)?;
        }
        match weights {
            None => {}
            Some(whole @ Weights::Whole(_)) => get(&whole.name())?,
            Some(shards @ Weights::Shards(_)) => {
                let index = shards.name();
                get(&index)?;
                let path = cache.snapshot(commit).join(&index);
                let text = read_index(&path).ok_or_else(|| {
                    io_error(&path, "cannot be read")(std::io::Error::other(format!(
                        "expected an index of at most {LARGEST_INDEX} bytes"
                    )))
                })?;
                let names = shards_of(&text).map_err(|reason| HubError::FilesNotFound {
                    repository: repository.name().to_owned(),
                    expected: format!("shards named by {index}"),
                    found: reason,
                })?;
                for name in names {
                    if !has(&name) {
                        return Err(HubError::FilesNotFound {
                            repository: repository.name().to_owned(),
                            expected: format!("{name}, as {index} says"),
                            found: list_names(&listing),
                        });
                    }
                    get(&name)?;
                }
            }
        }
        cache.write_reference(repository.revision(), commit)?;
        self.find(files, Optional::Known).ok_or_else(missing)
    }
}

/// The names in a repository, for an error message: they may hold anything.
fn list_names(listing: &Listing) -> String {
    /// Enough to recognise a repository by.
    const NAMES_SHOWN: usize = 12;
    const CHARACTERS_SHOWN: usize = 60;
    let shown = |name: &String| -> String {
        let name: String = name.chars().take(CHARACTERS_SHOWN).collect();
        name.escape_debug().collect()
    };
    let names: Vec<String> = listing.files.iter().take(NAMES_SHOWN).map(shown).collect();
    match listing.files.len() {
        0 => "no files".into(),
        count if count > NAMES_SHOWN => format!("{} and {} more", names.join(", "), count - NAMES_SHOWN),
        _ => names.join(", "),
    }
}
