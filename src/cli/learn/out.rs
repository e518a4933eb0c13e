//! The file of the proposed tables: made before anything is measured, so that a measurement is not lost for a path
//! that cannot be written, and never in the place of another.

use crate::cli::door::Failed;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// An empty file that is ours. It goes again where nothing is written into it.
pub struct Out {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl Out {
    /// Makes the file.
    ///
    /// # Errors
    /// That it is there already, be it the rules or the traffic, or cannot be made, and what to do.
    pub fn create(path: PathBuf) -> Result<Out, Failed> {
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let shown = path.display();
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!(
                    "{shown} is there already and is not overwritten: name another file with --out"
                )
            }
            _ => format!("{shown} cannot be made: {error}; name another file with --out"),
        })?;
        Ok(Out {
            path,
            file,
            is_written: false,
        })
    }

    /// Writes all there is to be in it.
    ///
    /// # Errors
    /// That it could not be written, or not wholly.
    pub fn write(mut self, text: &str) -> Result<(), Failed> {
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        self.is_written = written.is_ok();
        written.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        if !self.is_written {
            let _ = std::fs::remove_file(&self.path); // nothing is in it, and it would be in the way
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone_and_one_that_nothing_came_of_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sets.toml");
        drop(Out::create(path.clone()).expect("a new file"));
        assert!(!path.exists());
        let out = Out::create(path.clone()).expect("a new file");
        out.write("[[invalidate]]\n").expect("written");
        let again = Out::create(path.clone()).err().expect("it is there");
        assert!(again.contains("is there already"), "{again}");
        let text = std::fs::read_to_string(&path).expect("left alone");
        assert_eq!(text, "[[invalidate]]\n");
    }
}
