//! The files that a run is made of, as they are read from the disk: the rules file and those that it names.

use rustix::fs::OFlags;
use std::fs::{Metadata, OpenOptions};
use std::io::{Error, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Largest file that the rules name. A bundle of all public authorities has a quarter of a MiB.
pub const MAX_NAMED: usize = 4 << 20;

/// The bytes of a regular file of at most `most`. Nothing else is opened: a pipe would hold up who reads it
/// for as long as nobody writes to it.
///
/// # Errors
/// That it cannot be read, that it is no regular file, or that it is larger.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    readable(&std::fs::metadata(path)?, most)?;
    // Should it have become a pipe meanwhile, this does not wait for its writer.
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(without_waiting)
        .open(path)?;
    let metadata = file.metadata()?;
    readable(&metadata, most)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(larger(most)), // it has grown meanwhile
        false => Ok(bytes),
    }
}

fn readable(metadata: &Metadata, most: usize) -> Result<()> {
    match (metadata.is_file(), metadata.len() > most as u64) {
        (false, _) => Err(Error::other("it is no regular file")),
        (true, true) => Err(larger(most)),
        (true, false) => Ok(()),
    }
}

fn larger(most: usize) -> Error {
    Error::other(format!("it has more than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_but_a_regular_file_that_is_not_too_large() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "12345").expect("a file");
        assert_eq!(read(&at("file"), 5).expect("read"), b"12345");
        let told = |name: &str, most| read(&at(name), most).expect_err("refused").to_string();
        assert!(told("file", 4).contains("more than 4 bytes"));
        assert!(told(".", 5).contains("no regular file"), "a directory");
        let pipe = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(pipe.expect("mkfifo is there").success());
        assert!(told("pipe", 5).contains("no regular file"), "nobody writes");
        assert!(read(&at("absent"), 5).is_err());
    }
}
