//! Event files for TensorBoard: scalars by step.
//!
//! A file is a series of records as TensorFlow writes them (`tensorflow/core/lib/io/record_writer.h`): the length in eight
//! bytes, the lowest first; its masked CRC-32C; the bytes of an `Event` (`tensorflow/core/util/event.proto`); their masked
//! CRC-32C.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fs_err as fs;
use prost::Message;

use crate::checkpoint::{CheckpointError, write_error};

/// What the first record of every file says.
const FILE_VERSION: &str = "brain.Event:2";

/// `SessionLog.SessionStatus.START`: TensorBoard then forgets what other files say of this step and later ones.
const START: i32 = 1;

/// An event file that is open.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: fs::File,
}

impl EventFile {
    /// Begins a file in a folder, for steps from `first_step` on. Files of earlier parts of the run stay; TensorBoard takes
    /// those steps from the newest one.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, CheckpointError> {
        Self::create_at(folder, first_step, seconds_now())
    }

    fn create_at(folder: &Path, first_step: u64, wall_time: f64) -> Result<Self, CheckpointError> {
        // TensorBoard reads files in the order of their names. Two runs of one second differ in the number.
        let mut number = 0;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{:010}.solfa.{number}", wall_time as u64));
            match fs::OpenOptions::new().create_new(true).write(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(write_error(&path, error)),
            }
        };
        let mut events = Self { path, file };
        events.write(&Event { wall_time, file_version: Some(FILE_VERSION.into()), ..Event::default() })?;
        let session_log = Some(SessionLog { status: START });
        events.write(&Event { wall_time, step: first_step as i64, session_log, ..Event::default() })?;
        Ok(events)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the numbers of one step. NaN and infinity are left out.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<(), CheckpointError> {
        self.write_scalars_at(step, scalars, seconds_now())
    }

    fn write_scalars_at(
        &mut self,
        step: u64,
        scalars: &[(String, f64)],
        wall_time: f64,
    ) -> Result<(), CheckpointError> {
        let value = |(tag, value): &(String, f64)| ScalarValue { tag: tag.clone(), simple_value: Some(*value as f32) };
        let values = scalars.iter().filter(|(_, value)| value.is_finite()).map(value).collect();
        let summary = Some(Summary { values });
        self.write(&Event { wall_time, step: step as i64, summary, ..Event::default() })
    }

    /// One record, with one write: a file that is read meanwhile, or whose writer was killed, has whole records.
    fn write(&mut self, event: &Event) -> Result<(), CheckpointError> {
        self.file.write_all(&record(&event.encode_to_vec())).map_err(|error| write_error(&self.path, error))
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_checksum(&length), data, &masked_checksum(data)].concat()
}

/// A checksum that is no longer the checksum of what has it inside.
fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// What is used of `Event`. (Fields of a `oneof` are written as others are.)
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<ScalarValue>,
}

/// `Summary.Value`
#[derive(Clone, PartialEq, Message)]
struct ScalarValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let (length_checksum, after) = after.split_at(4);
            assert_eq!(length_checksum, masked_checksum(length));
            let (data, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (checksum, after) = after.split_at(4);
            assert_eq!(checksum, masked_checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = after;
        }
        events
    }

    /// The bytes that `RecordWriter` of the Python package `tensorboard` 2.21 wrote of these two `Event`s.
    #[test]
    fn records_are_tensorboards_byte_for_byte() {
        let version = Event { wall_time: 1000.0, file_version: Some(FILE_VERSION.into()), ..Event::default() };
        let values = vec![ScalarValue { tag: "loss".into(), simple_value: Some(0.25) }];
        let summary = Some(Summary { values });
        let scalar = Event { wall_time: 1000.5, step: 3, summary, ..Event::default() };
        let found = [record(&version.encode_to_vec()), record(&scalar.encode_to_vec())].concat();
        let hexadecimal: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hexadecimal, EXPECTED);
    }

    const EXPECTED: &str = "1800000000000000a37f4b22090000000000408f401a0d627261696e2e4576656e743a3273ae6b56\
                            1a00000000000000129bd82d090000000000448f4010032a0d0a0b0a046c6f7373150000803e603f05f2";

    /// RFC 3720, B.4: 32 bytes of zeros have the checksum 0x8a9136aa. Turned right by 15 bits that is 0x6d551522; with
    /// 0xa282ead8 added, 0x0fd7fffa.
    #[test]
    fn the_checksum_is_crc_32c_with_its_mask() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_checksum(&[0; 32]), 0x0fd7_fffa_u32.to_le_bytes());
    }

    #[test]
    fn a_file_begins_with_version_and_session_and_has_scalars_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create_at(folder.path(), 1, 1000.25).unwrap();
        let scalars = [("loss".to_owned(), 0.5), ("bad".to_owned(), f64::NAN), ("terms/accuracy".to_owned(), 0.125)];
        events.write_scalars_at(1, &scalars, 1001.0).unwrap();
        let found = records(&fs::read(events.path()).unwrap());
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].wall_time, found[0].file_version.as_deref()), (1000.25, Some("brain.Event:2")));
        assert_eq!((found[1].step, &found[1].session_log), (1, &Some(SessionLog { status: START })));
        let values = &found[2].summary.as_ref().unwrap().values;
        let values: Vec<_> = values.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!((found[2].step, found[2].wall_time), (1, 1001.0));
        assert_eq!(values, [("loss", Some(0.5)), ("terms/accuracy", Some(0.125))]);
        // A run that is resumed within the same second has a file of its own.
        let resumed = EventFile::create_at(folder.path(), 5, 1000.5).unwrap();
        assert_ne!(resumed.path(), events.path());
        assert_eq!(records(&fs::read(resumed.path()).unwrap())[1].step, 5);
        let error = EventFile::create(&folder.path().join("gone"), 1).unwrap_err().to_string();
        assert!(error.contains("events.out.tfevents."), "{error}");
    }
}
