//! `veritee-sancus-board PLAN.toml FOLDER` builds a board image: `board.elf` for a programmer or the emulator, and
//! `board.toml`, the provider's list of its drivers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_sancus_image::{BoardImage, BoardPlan, Tools};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let built = match arguments.as_slice() {
        [plan, folder] => build(plan, folder),
        _ => Err("usage: veritee-sancus-board PLAN.toml FOLDER".into()),
    };
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program says what is wrong")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build(plan: &Path, folder: &Path) -> Result<(), Box<dyn core::error::Error>> {
    let plan: BoardPlan = toml::from_str(&std::fs::read_to_string(plan)?)?;
    let framework = match std::env::var_os("VERITEE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.."),
    };
    let image = BoardImage::build(&plan, &Tools::find(&framework)?)?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("board.elf"), &image.elf)?;
    std::fs::write(folder.join("board.toml"), image.manifest())?;
    Ok(())
}
