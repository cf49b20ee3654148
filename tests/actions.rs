//! Facts about the shipped actions: each is sound and does what its own samples say.

use std::fs;
use std::path::{Path, PathBuf};

use f2bd::action::file::ActionFile;

/// All action files, with their texts.
pub fn shipped() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("actions");
    let mut paths: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn every_file_does_what_its_samples_say() {
    let mut wrong = Vec::new();
    for (path, text) in shipped() {
        let file = match ActionFile::parse(&text) {
            Ok(file) => file,
            Err(error) => {
                wrong.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        // What is served is shown by tests of its own.
        if file.samples.is_empty() && !text.contains("kind = \"serve\"") {
            wrong.push(format!("{}: no sample", path.display()));
        }
        for sample in &file.samples {
            if let Err(error) = sample.check(&file) {
                wrong.push(format!("{}: {error}", path.display()));
            }
        }
        for (name, parameter) in file.parameters.iter() {
            if !parameter.about.ends_with('.') {
                wrong.push(format!(
                    "{}: `{name}` is not told in a sentence",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Rules of iptables, and rich and direct ones of firewalld, stand in lists that others write into as well.
#[test]
fn who_shares_a_list_of_rules_says_that_it_may_be_outranked() {
    let shared = [
        "\n[parameters.iptables]",
        "-rich-rule=",
        ".direct\"",
        "--direct",
    ];
    let mut sharing = Vec::new();
    for (path, text) in shipped() {
        if shared.iter().any(|words| text.contains(words)) {
            assert!(text.contains("\noutranked = true\n"), "{}", path.display());
            sharing.push(path);
        }
    }
    assert!(sharing.len() >= 7, "{sharing:?}");
}
