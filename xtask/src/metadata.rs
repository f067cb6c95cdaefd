//! What cargo knows of the workspace: packages and the resolved graph.

use crate::stage::output;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Output of `cargo metadata`, as far as it is used.
#[derive(Deserialize, Debug)]
pub struct Metadata {
    /// All packages of the graph.
    pub packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize, Debug)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize, Debug)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize, Debug)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize, Debug)]
struct DependencyKind {
    kind: Option<String>,
}

/// A package.
#[derive(Deserialize, Debug)]
pub struct Package {
    /// What cargo calls it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    /// The file of its manifest.
    pub manifest_path: String,
    /// Its features, with what they turn on.
    pub features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Deserialize, Debug)]
struct Target {
    kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo, for the platform of this machine.
    pub fn read(manifest: &str) -> Result<Self> {
        let host = output("rustc", &["-vV"])?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its host")?;
        let text = output(
            "cargo",
            &["metadata", "--format-version", "1", "--manifest-path", manifest, "--filter-platform", host],
        )?;
        serde_json::from_str(&text).context("cargo's metadata is not understood")
    }

    /// The package of an id.
    pub fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    /// Packages of this workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.workspace_members.iter().filter_map(|id| self.package(id))
    }

    /// What a package depends on directly, without tests and build scripts.
    pub fn direct(&self, id: &str) -> Vec<&Package> {
        let node = self.resolve.nodes.iter().find(|node| node.id == id);
        let normal = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        node.into_iter()
            .flat_map(|node| node.deps.iter().filter(normal))
            .filter_map(|dependency| self.package(&dependency.pkg))
            .collect()
    }

    /// What a package depends on, directly or not.
    pub fn closure(&self, id: &str) -> Vec<&Package> {
        self.reached(id, |_| true)
    }

    /// What is linked into a program of this package: procedural macros and what only they need are not.
    pub fn linked(&self, id: &str) -> Vec<&Package> {
        self.reached(id, |package| !package.is_macro())
    }

    fn reached(&self, id: &str, wanted: impl Fn(&Package) -> bool) -> Vec<&Package> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![id.to_owned()];
        while let Some(id) = waiting.pop() {
            for package in self.direct(&id) {
                if wanted(package) && seen.insert(package.id.clone()) {
                    waiting.push(package.id.clone());
                }
            }
        }
        self.packages.iter().filter(|package| seen.contains(&package.id)).collect()
    }
}

impl Package {
    fn is_macro(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }

    /// Folder of the package below the repository's root; `None` for packages from a registry.
    pub fn folder(&self) -> Option<String> {
        let root = crate::source::root().ok()?;
        let folder = std::path::Path::new(&self.manifest_path).parent()?;
        folder.strip_prefix(root).ok().map(|folder| folder.display().to_string())
    }
}
