//! Writes a file completely or not at all: a temporary file beside it is renamed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub(super) struct OutputError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes to this path, or under `name` when it is a directory.
pub(super) fn write(path: &Path, name: &str, contents: &[u8]) -> Result<(), OutputError> {
    let path = if path.is_dir() { path.join(name) } else { path.to_owned() };
    // A symbolic link is kept: the file that it points to is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.clone());
    let written = match fs::metadata(&target) {
        // A pipe or a device cannot be replaced, so it is written directly.
        Ok(metadata) if !metadata.is_file() => {
            OpenOptions::new().write(true).open(&target).and_then(|mut file| file.write_all(contents))
        }
        Ok(_) | Err(_) => replace(&target, contents),
    };
    written.map_err(|source| OutputError { path, source })
}

fn replace(target: &Path, contents: &[u8]) -> io::Result<()> {
    let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = target.with_file_name(beside);
    let result = write_durably(&beside, contents).and_then(|()| fs::rename(&beside, target));
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    result
}

fn write_durably(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty temporary folder for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("balance-gateway-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_directory_gets_a_file_of_the_given_name_and_a_file_keeps_its_own() {
        let folder = Folder::new("names");

        write(&folder.0, "report.json", b"1").unwrap();
        write(&folder.0.join("mine"), "report.json", b"2").unwrap();
        write(&folder.0.join("mine"), "report.json", b"3").unwrap();

        assert_eq!(folder.names(), ["mine", "report.json"]);
        assert_eq!(fs::read(folder.0.join("report.json")).unwrap(), b"1");
        assert_eq!(fs::read(folder.0.join("mine")).unwrap(), b"3");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind_and_the_old_file_as_it_was() {
        let folder = Folder::new("failed");
        let taken = folder.0.join(format!(".report.{}", std::process::id()));
        fs::create_dir(&taken).unwrap();
        fs::write(folder.0.join("report"), b"old").unwrap();

        let error = write(&folder.0.join("report"), "unused", b"new").unwrap_err();
        let nowhere = write(&folder.0.join("missing/report"), "unused", b"new").unwrap_err();

        assert_eq!(error.to_string(), format!("cannot write {}", folder.0.join("report").display()));
        assert_eq!(nowhere.source.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read(folder.0.join("report")).unwrap(), b"old");
    }

    #[test]
    fn a_link_and_a_device_stay_what_they_are() {
        let folder = Folder::new("links");
        fs::write(folder.0.join("real"), b"old").unwrap();
        std::os::unix::fs::symlink(folder.0.join("real"), folder.0.join("link")).unwrap();

        write(&folder.0.join("link"), "unused", b"new").unwrap();
        write(Path::new("/dev/null"), "unused", b"new").unwrap();

        assert!(folder.0.join("link").is_symlink());
        assert_eq!(fs::read(folder.0.join("real")).unwrap(), b"new");
        assert!(!Path::new("/dev/null").is_file());
    }
}
