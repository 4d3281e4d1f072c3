//! The folders of the models that MuQ-MuLan's configuration names. The names stand in a file that someone gave us, and
//! none is followed out of that file's folder.

use std::path::{Component, Path, PathBuf};

use crate::checkpoint::{FindModel, Tower, source};

/// The folder of a model that the configuration names: beside the configuration under the whole name or its last part,
/// else wherever `find_model` says.
pub(super) fn model_folder(
    beside: &Path,
    name: &str,
    tower: Tower,
    find_model: FindModel<'_>,
) -> Result<PathBuf, String> {
    let name_path = Path::new(name);
    // A name that leads out of the folder is not followed there; what it means is for `find_model` to say.
    let is_below = !name.is_empty() && name_path.components().all(|part| matches!(part, Component::Normal(_)));
    let candidates: Vec<PathBuf> = if is_below {
        let last = name_path.file_name().unwrap_or_default();
        [beside.join(name_path), beside.join(last)].into()
    } else {
        Vec::new()
    };
    if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
        return Ok(folder.clone());
    }
    find_model(name, tower).map_err(|reason| {
        let looked_for = match candidates.first() {
            Some(folder) => format!("folder {}", folder.display()),
            None => "name of a folder beside it".into(),
        };
        let found = source::list_names(beside);
        format!("expected the {looked_for} with the configuration of `{name}`, found {found}; elsewhere: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let beside = parent.path().join("checkpoint");
        for folder in ["checkpoint/tower", "elsewhere"] {
            fs_err::create_dir_all(parent.path().join(folder)).unwrap();
        }
        let absolute = parent.path().join("elsewhere").to_string_lossy().into_owned();
        let asked = std::cell::RefCell::new(Vec::new());
        let find_model = |name: &str, _: Tower| -> Result<PathBuf, String> {
            asked.borrow_mut().push(name.to_owned());
            Err("nowhere".into())
        };
        assert_eq!(model_folder(&beside, "tower", Tower::Audio, &find_model), Ok(beside.join("tower")));
        assert_eq!(model_folder(&beside, "SomeOrg/tower", Tower::Audio, &find_model), Ok(beside.join("tower")));
        assert!(asked.borrow().is_empty());
        for name in ["", ".", "..", "../elsewhere", "tower/../../elsewhere", "tower/..", "/", &absolute] {
            let reason = model_folder(&beside, name, Tower::Text, &find_model).unwrap_err();
            assert!(reason.contains("found tower; elsewhere: nowhere"), "{name}: {reason}");
            assert_eq!(asked.borrow_mut().pop().as_deref(), Some(name));
        }
    }
}
