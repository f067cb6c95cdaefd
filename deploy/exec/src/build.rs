//! Images of all modules, built in parallel with one shared target folder.

use crate::{ExecError, Talk, platforms};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use veritee_ids::CipherId;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};

/// A module to build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The module.
    pub module: String,
    /// Its platform's word.
    pub platform: String,
    /// Its sources by language.
    pub languages: Vec<(Language, PathBuf)>,
    /// Ciphers of its connections.
    pub ciphers: Vec<CipherId>,
}

/// Builds all modules. At most two compilers' drivers run at once: cargo itself uses all cores.
///
/// # Errors
/// The first module that does not build, by name.
///
/// # Panics
/// When a builder's thread panicked: an error of this program.
pub async fn build_all(
    sources: &[Source], target: &Path, owner: &[u8; 32], talk: &dyn Talk,
) -> Result<BTreeMap<String, BuiltImage>, ExecError> {
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel::<(String, String)>();
    let waiting: Vec<Source> = sources.to_vec();
    let (target, owner) = (target.to_owned(), *owner);
    let work = tokio::task::spawn_blocking(move || {
        let queue = std::sync::Mutex::new(waiting);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (queue, said, target, owner) = (&queue, said.clone(), &target, &owner);
                    scope.spawn(move || build_queue(queue, target, owner, &said))
                })
                .collect();
            drop(said);
            let mut built = BTreeMap::new();
            for worker in workers {
                built.extend(worker.join().expect("a builder does not panic")?);
            }
            Ok(built)
        })
    });
    while let Some((module, line)) = heard.recv().await {
        talk.doing("build", &format!("building {module}: {line}"));
    }
    let built: Result<BTreeMap<String, BuiltImage>, ExecError> = work.await.expect("building does not panic");
    if let Ok(built) = &built {
        talk.done(&format!("built {}", crate::counted(built.len(), "image")));
    }
    built
}

/// Builds modules until none is left. A failure empties the queue, so that the other builder stops soon.
fn build_queue(
    queue: &std::sync::Mutex<Vec<Source>>, target: &Path, owner: &[u8; 32],
    said: &tokio::sync::mpsc::UnboundedSender<(String, String)>,
) -> Result<BTreeMap<String, BuiltImage>, ExecError> {
    let mut built = BTreeMap::new();
    let take = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
    while let Some(source) = take() {
        match build(&source, target, owner, said) {
            Ok(image) => {
                built.insert(source.module, image);
            }
            Err(error) => {
                queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
                return Err(error);
            }
        }
    }
    Ok(built)
}

fn build(
    source: &Source, target: &Path, owner: &[u8; 32], said: &tokio::sync::mpsc::UnboundedSender<(String, String)>,
) -> Result<BuiltImage, ExecError> {
    let platform = platforms::platform(&source.platform).ok_or_else(|| ExecError::NoSuch {
        what: "platform",
        name: source.platform.clone(),
        candidates: platforms::words().into_iter().map(str::to_owned).collect(),
    })?;
    let fitting =
        platform.languages().iter().find_map(|wanted| source.languages.iter().find(|(language, _)| language == wanted));
    let Some((language, path)) = fitting else {
        let reason = format!("it has no source that the platform {} takes", source.platform);
        return Err(PlatformError::BadImage { module: source.module.clone(), reason }.into());
    };
    let talk = |line: &str| {
        let _ = said.send((source.module.clone(), line.to_owned()));
    };
    let order = BuildOrder {
        module: &source.module,
        language: *language,
        source: path,
        target,
        owner,
        ciphers: &source.ciphers,
        talk: &talk,
    };
    Ok(platform.build(&order)?)
}
