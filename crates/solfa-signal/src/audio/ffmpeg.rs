//! Formats that are left to an `ffmpeg` program.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::mixdown::mix_down;
use super::{AudioError, MonoSource, Waveform};

/// The `ffmpeg` program on the PATH, if there is one.
pub fn find_ffmpeg() -> Option<PathBuf> {
    let name = format!("ffmpeg{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .find(|program| is_executable(program))
}

#[cfg(unix)]
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(program: &Path) -> bool {
    program.is_file()
}

/// Samples per channel in a block.
const BLOCK_FRAMES: usize = 16 * 1024;
/// More channels than any format that ffmpeg decodes; a larger number is not a header of its.
const MAXIMUM_CHANNELS: u32 = 1024;
/// How much of ffmpeg's error stream is kept.
const MAXIMUM_MESSAGE_BYTES: usize = 2 * 1024;

/// Sound that an ffmpeg process decodes as it is read. The process is killed when this is dropped.
pub(super) struct FfmpegSource {
    path: PathBuf,
    program: PathBuf,
    format: String,
    child: Child,
    output: ChildStdout,
    messages: Option<JoinHandle<Vec<u8>>>,
    sample_rate: u32,
    channels: usize,
    num_frames: u64,
    has_ended: bool,
}

impl FfmpegSource {
    /// Starts `program` on `path`, which was recognised as `format`.
    pub(super) fn open(program: &Path, path: &Path, format: String) -> Result<Self, AudioError> {
        let failure = |source: io::Error| AudioError::Ffmpeg {
            path: path.to_path_buf(),
            program: program.to_path_buf(),
            format: format.clone(),
            seconds: 0.0,
            message: source.to_string(),
        };
        // With `file:` in front, no name is taken for an option, another protocol or standard input.
        let mut input = OsString::from("file:");
        input.push(path);
        // A Sun AU file can be of any length and begins with a header that says rate and channels and nothing else.
        let mut child = Command::new(program)
            .args(["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-protocol_whitelist", "file,pipe", "-i"])
            .arg(input)
            .args(["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"])
            .args(["-c:a", "pcm_f32be", "-f", "au", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failure)?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failure(io::Error::other("its output is not connected")));
        };
        // Read beside the sound, so that neither stream can block the other.
        let messages = std::thread::spawn(move || first_bytes(errors));
        let mut source = Self {
            path: path.to_path_buf(),
            program: program.to_path_buf(),
            format,
            child,
            output,
            messages: Some(messages),
            sample_rate: 0,
            channels: 0,
            num_frames: 0,
            has_ended: false,
        };
        match read_header(&mut source.output) {
            Ok((sample_rate, channels)) => {
                source.sample_rate = sample_rate;
                source.channels = channels;
                Ok(source)
            }
            Err(error) => {
                source.finish()?;
                Err(source.failure(format!("its output is no Sun AU file: {error}")))
            }
        }
    }

    fn failure(&self, message: String) -> AudioError {
        AudioError::Ffmpeg {
            path: self.path.clone(),
            program: self.program.clone(),
            format: self.format.clone(),
            seconds: self.num_frames as f64 / f64::from(self.sample_rate.max(1)),
            message,
        }
    }

    /// Waits for the process, whose output has ended, and says how it ended.
    fn finish(&mut self) -> Result<(), AudioError> {
        let status = self.child.wait().map_err(|error| self.failure(error.to_string()))?;
        let bytes = self.messages.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let message = String::from_utf8_lossy(&bytes).trim().replace('\n', "; ");
        if status.success() {
            return Ok(());
        }
        if message.contains("matches no streams") {
            return Err(AudioError::Unsupported {
                path: self.path.clone(),
                reason: format!("{}: holds no audio track", self.format),
            });
        }
        Err(self.failure(if message.is_empty() { status.to_string() } else { message }))
    }

    fn read_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        let frame_bytes = 4 * self.channels;
        let mut bytes = Vec::new();
        let wanted = (BLOCK_FRAMES * frame_bytes) as u64;
        if let Err(error) = Read::by_ref(&mut self.output).take(wanted).read_to_end(&mut bytes) {
            return Err(self.failure(error.to_string()));
        }
        let num_frames = bytes.len() / frame_bytes;
        if num_frames == 0 {
            self.finish()?;
            if self.num_frames == 0 {
                return Err(AudioError::NoSound { path: self.path.clone(), found: 0 });
            }
            return Ok(None);
        }
        let (samples, _) = bytes.as_chunks();
        let interleaved: Vec<f32> = samples.iter().map(|&sample| f32::from_be_bytes(sample)).collect();
        let mono = mix_down(&self.path, &interleaved, self.channels, self.sample_rate, self.num_frames)?;
        self.num_frames += num_frames as u64;
        Ok(Some(Waveform::new(mono, self.sample_rate)))
    }
}

impl MonoSource for FfmpegSource {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn num_samples_hint(&self) -> Option<u64> {
        None
    }

    fn num_channels_hint(&self) -> Option<u32> {
        u32::try_from(self.channels).ok()
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        if self.has_ended {
            return Ok(None);
        }
        let block = self.read_block();
        self.has_ended = !matches!(block, Ok(Some(_)));
        block
    }
}

impl Drop for FfmpegSource {
    fn drop(&mut self) {
        // Neither fails except where the process has gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all of a stream and keeps its beginning, where the cause stands.
fn first_bytes(mut stream: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return kept,
            Ok(length) => {
                let room = MAXIMUM_MESSAGE_BYTES - kept.len();
                kept.extend_from_slice(&buffer[..length.min(room)]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

/// Reads the header of a Sun AU file: the sample rate and the number of channels.
fn read_header(stream: &mut impl Read) -> io::Result<(u32, usize)> {
    let mut header = [0; 24];
    stream.read_exact(&mut header)?;
    let (words, _) = header.as_chunks();
    let [magic, offset, _length, _encoding, sample_rate, channels] =
        std::array::from_fn(|i| u32::from_be_bytes(words[i]));
    let annotation = offset.checked_sub(header.len() as u32);
    let (true, Some(annotation)) = (magic == u32::from_be_bytes(*b".snd"), annotation) else {
        return Err(io::Error::other("it does not begin with `.snd`"));
    };
    if sample_rate == 0 || !(1..=MAXIMUM_CHANNELS).contains(&channels) {
        return Err(io::Error::other(format!("{channels} channels at {sample_rate} Hz")));
    }
    io::copy(&mut stream.take(annotation.into()), &mut io::sink())?;
    Ok((sample_rate, channels as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_others_refused() {
        let header = |words: [u32; 6]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let snd = u32::from_be_bytes(*b".snd");
        let mut good = header([snd, 32, u32::MAX, 6, 48_000, 2]);
        good.extend([0; 8]);
        let mut stream = &good[..];
        assert_eq!(read_header(&mut stream).unwrap(), (48_000, 2));
        assert!(stream.is_empty());
        for wrong in
            [[snd + 1, 24, 0, 6, 48_000, 2], [snd, 0, 0, 6, 48_000, 2], [snd, 24, 0, 6, 0, 2], [snd, 24, 0, 6, 1, 0]]
        {
            assert!(read_header(&mut &header(wrong)[..]).is_err(), "{wrong:?}");
        }
        assert!(read_header(&mut &good[..20]).is_err());
    }

    #[test]
    fn a_long_error_stream_is_read_to_its_end_and_kept_short() {
        let long = vec![b'x'; 1_000_000];
        let mut stream = &long[..];
        assert_eq!(first_bytes(&mut stream).len(), MAXIMUM_MESSAGE_BYTES);
        assert!(stream.is_empty());
    }

    /// Another process writes the file: one that this process has open for writing may not be run.
    #[cfg(unix)]
    fn write_program(folder: &Path, script: &str) -> PathBuf {
        let program = folder.join("ffmpeg");
        let mut command = Command::new("sh");
        command.args(["-c", "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", script]).arg(&program);
        assert!(command.status().unwrap().success());
        program
    }

    /// A stand-in for ffmpeg that writes more to its error stream than a pipe holds before it fails.
    #[cfg(unix)]
    #[test]
    fn a_program_that_complains_at_length_fails_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\necho 'the first complaint' >&2\nhead -c 1000000 /dev/zero >&2\nexit 3\n";
        let program = write_program(folder.path(), script);
        let error = FfmpegSource::open(&program, Path::new("song.opus"), "Opus".into()).err().unwrap();
        let AudioError::Ffmpeg { message, .. } = &error else { panic!("{error}") };
        assert!(message.starts_with("the first complaint"), "{message}");
    }

    /// A stand-in for ffmpeg that never ends.
    #[cfg(unix)]
    #[test]
    fn a_dropped_source_leaves_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\nprintf '.snd\\000\\000\\000\\030\\377\\377\\377\\377\\000\\000\\000\\006\\000\\000\\037\\100\\000\\000\\000\\001'\n\
             echo $$ > {}\nexec cat /dev/zero\n",
            folder.path().join("process").display()
        );
        let program = write_program(folder.path(), &script);
        let mut source = FfmpegSource::open(&program, Path::new("song.opus"), "Opus".into()).unwrap();
        assert_eq!(source.sample_rate(), 8_000);
        assert_eq!(source.next_block().unwrap().unwrap().num_samples(), BLOCK_FRAMES);
        let process = std::fs::read_to_string(folder.path().join("process")).unwrap();
        assert!(Path::new("/proc").join(process.trim()).exists() || !cfg!(target_os = "linux"));
        drop(source);
        assert!(!Path::new("/proc").join(process.trim()).exists());
    }
}
