//! Formats that can be sought in are: without this, a stretch would be right and slow.

use std::path::Path;

use solfa_signal::audio;

#[test]
fn the_usual_formats_are_sought_in_and_go_on_where_they_should() {
    for name in ["hungarian_dance.mp3", "compus.flac", "rainy.wav", "shrine.ogg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name);
        let whole = audio::read(&path).unwrap();
        let place = whole.num_samples() / 2 + 1;
        let mut source = audio::open(&path).unwrap();
        assert_eq!(source.pass_over(place as u64).unwrap(), place as u64, "{name}");
        let block = source.next_block().unwrap().unwrap();
        assert!(block.samples() == &whole.samples()[place..place + block.num_samples()], "{name}");
        assert_eq!(source.pass_over(1_000).unwrap(), 0, "{name}: only before the first block");
    }
}
