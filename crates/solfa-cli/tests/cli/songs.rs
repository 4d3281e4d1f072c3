//! Real songs, where they are at hand.

use std::path::Path;

use crate::common::{Stored, Workplace};

#[test]
fn thirty_real_songs() {
    let songs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/songs");
    if !songs.is_dir() {
        println!("skipped: {} is not there", songs.display());
        return;
    }
    let workplace = Workplace::new();
    workplace.solfa("embed --pool mean --model mfcc --output out").arg(&songs).assert().success();
    let outputs = workplace.files("out");
    assert_eq!(outputs.len(), 30);
    for name in outputs {
        let stored = Stored::read(&workplace.path("out").join(&name));
        assert_eq!(stored.shape("layer_0"), [13], "{name}");
        assert!(stored.values("layer_0").iter().any(|&value| value != 0.0), "{name}");
    }
}
