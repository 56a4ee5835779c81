//! Keeps the tree as ARCHITECTURE.md and CONTRIBUTING.md describe it. Each test names every offender at once.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, and its vocabulary with it"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The arrows between the crates; a crate that is not named here may not be depended on by it.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("domain", &["wire"]),
    ("store", &["domain", "wire"]),
    ("service", &["store", "domain", "wire"]),
    ("lab", &["wire"]),
    ("carillon", &["service", "store", "domain", "wire", "lab"]),
    ("bench", &["service", "store", "domain", "wire", "lab"]),
];

/// Outside tests a file stays under this many lines. Longer ones stand in [`LONG_FILES`].
const LONGEST: usize = 500;

/// Files that read better whole, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// File names that name no subject.
const NO_SUBJECT: &[&str] = &[
    "utils.rs",
    "helpers.rs",
    "common.rs",
    "manager.rs",
    "types.rs",
];

#[test]
fn crates_depend_downwards_only() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let mut offenders = Vec::new();
    for package in &metadata.packages {
        let arrows = ARROWS.iter().find(|(name, _)| package.name == *name);
        let (_, allowed) = arrows.unwrap_or_else(|| panic!("{} has no floor", package.name));
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_arrow = ours.contains(name) && dependency.kind != DependencyKind::Development;
            if is_arrow && !allowed.contains(&name) {
                offenders.push(format!("{} → {name}", package.name));
            }
        }
    }
    none(&offenders, "arrows that the floors do not have");
}

#[test]
fn only_the_composition_root_opens_the_store() {
    let offenders = lines_with(
        "crates/server/src",
        |line| line.contains("store::"),
        &["crates/server/src/app.rs"],
    );
    none(&offenders, "uses of the store outside server/src/app.rs");
}

#[test]
fn wire_does_no_io_and_domain_never_awaits() {
    let io = ["std::fs", "std::net", "tokio", "SystemTime", "Instant::"];
    let mut offenders = lines_with(
        "crates/wire/src",
        |line| io.iter().any(|io| line.contains(io)),
        &[],
    );
    let is_async = |line: &str| line.contains("async fn") || line.contains(".await");
    offenders.append(&mut lines_with("crates/domain/src", is_async, &[]));
    none(&offenders, "lines that do not belong on this floor");
}

#[test]
fn sql_is_in_the_store_alone() {
    let manifests = files("crates", &["toml"]);
    let offenders: Vec<_> = manifests
        .iter()
        .filter(|path| **path != "crates/store/Cargo.toml" && read(path).contains("sqlx"))
        .collect();
    none(&offenders, "crates that name sqlx");
}

#[test]
fn each_migration_has_a_number_of_its_own() {
    let mut numbers = BTreeSet::new();
    let mut offenders = files("crates/store/migrations", &["sql"]);
    offenders.retain(|path| {
        let name = path.rsplit('/').next().unwrap();
        !numbers.insert(name.split('_').next().unwrap().to_owned())
    });
    none(&offenders, "migrations whose number is taken");
}

#[test]
fn files_are_short_and_named_for_their_subject() {
    let mut offenders = Vec::new();
    for path in files("crates", &["rs"]) {
        let lines = without_tests(&read(&path)).lines().count();
        let is_excused = LONG_FILES.iter().any(|(long, _)| *long == path);
        let is_tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        if lines > LONGEST && !is_excused && !is_tests {
            offenders.push(format!("{path}: {lines} lines"));
        }
        if NO_SUBJECT
            .iter()
            .any(|name| path.ends_with(&format!("/{name}")))
        {
            offenders.push(format!("{path}: the name says nothing"));
        }
    }
    none(&offenders, "files to split or to rename");
}

#[test]
fn a_todo_carries_the_number_of_its_issue() {
    // Spelled in two halves, so that this file passes its own test.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    let open = |line: &str| words.iter().any(|word| line.contains(word)) && !line.contains('#');
    none(
        &lines_with("crates", open, &[]),
        "loose ends without an issue",
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offenders = Vec::new();
    for path in files(".", &["md"]) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for target in links(&read(&path)) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                offenders.push(format!("{path}: {target}"));
            }
        }
    }
    none(&offenders, "dead links");
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("[workspace.dependencies]").unwrap();
    let section = rest.split("\n[").next().unwrap();
    let used: BTreeSet<&str> = section
        .lines()
        .filter(|line| !line.contains("path ="))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    let document = read("docs/dependencies.md");
    let explained: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let offenders: Vec<_> = used.symmetric_difference(&explained).collect();
    none(
        &offenders,
        "in Cargo.toml or in docs/dependencies.md, but not in both",
    );
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let names = |text: &str, quote: char| -> BTreeSet<String> {
        let quoted = text.split(quote);
        let metrics = quoted.filter(|word| {
            let name = word.strip_prefix("carillon_");
            name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        });
        metrics.map(str::to_owned).collect()
    };
    let sources = files("crates", &["rs"]).into_iter();
    let counted = sources
        .filter(|path| path.contains("/src/"))
        .flat_map(|path| names(&read(&path), '"'));
    assert_eq!(
        counted.collect::<BTreeSet<_>>(),
        names(&read("docs/metrics.md"), '`')
    );
}

#[test]
fn snapshots_and_fixtures_belong_to_a_test() {
    let code: String = files(".", &["rs", "mjs", "py", "ts"])
        .iter()
        .map(|path| read(path))
        .collect();
    let mut offenders: Vec<String> =
        files("fixtures", &["json", "jsonl", "pem", "txt", "xml", "bin"])
            .into_iter()
            .filter(|path| !code.contains(path.rsplit('/').next().unwrap()))
            .collect();
    for path in files("crates", &["snap", "new"]) {
        let text = read(&path);
        let source = text.lines().find_map(|line| line.strip_prefix("source: "));
        if path.ends_with(".new") || !source.is_some_and(|source| root().join(source).exists()) {
            offenders.push(path);
        }
    }
    none(&offenders, "files that no test reads");
}

#[test]
fn lock_files_name_no_registry() {
    let offenders: Vec<_> = files(".", &["json"])
        .into_iter()
        .filter(|path| path.ends_with("package-lock.json") && read(path).contains("\"resolved\""))
        .collect();
    none(&offenders, "lock files with addresses (see .npmrc)");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn none(offenders: &[impl std::fmt::Debug], what: &str) {
    assert!(offenders.is_empty(), "{what}: {offenders:#?}");
}

/// The files of a folder and below it with one of these extensions, as paths from the root, sorted.
fn files(folder: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if extensions
                .iter()
                .any(|extension| name.ends_with(&format!(".{extension}")))
            {
                found.push(
                    path.strip_prefix(root())
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

/// Lines of code (not of comments) in a folder that `wrong` finds fault with, as `file:line: text`.
fn lines_with(folder: &str, wrong: impl Fn(&str) -> bool, except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(folder, &["rs"]) {
        if except.contains(&path.as_str()) {
            continue;
        }
        for (number, line) in without_tests(&read(&path)).lines().enumerate() {
            if wrong(line) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// A source up to the tests at its end.
fn without_tests(source: &str) -> &str {
    source
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default()
}

/// The targets of the links `[text](target)` of a document.
fn links(document: &str) -> Vec<&str> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .collect()
}
