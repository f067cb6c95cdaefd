//! The platform: boards by name, places, modules that come and stay.

use crate::board::{Board, BoardConfig, Driver, order_patience};
use crate::guest::Guest;
use crate::instance::{Instance, Whereabouts};
use crate::line::Patience;
use crate::loading::{Loaded, Order, Step};
use crate::memory::{first_fit, largest};
use crate::message::{HandleState, Hello};
use crate::state::State;
use core::ops::Range;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;
use veritee_host::{Board as Report, HostError, Hosted, LoadRequest, Platform, ReserveRequest};
use veritee_sancus_format::{BuiltIn, Claims, FreshnessKind, Image, ModuleImage, Need, Placed, Profile};

/// The boards of a node.
#[derive(Debug)]
pub struct SancusPlatform {
    drivers: Vec<Driver>,
}

impl SancusPlatform {
    /// Drives these boards, from now until this is dropped: one thread for each.
    ///
    /// # Panics
    /// When the system gives no thread or descriptor for a board.
    #[must_use]
    pub fn new(boards: Vec<BoardConfig>) -> Self {
        Self::with_patience(boards, Patience::default())
    }

    /// The same, with another patience.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_patience(boards: Vec<BoardConfig>, patience: Patience) -> Self {
        let start = |config| Driver::start(config, patience).expect("a starting node has a thread for each board");
        Self { drivers: boards.into_iter().map(start).collect() }
    }

    fn board(&self, name: &str) -> Result<&Arc<Board>, HostError> {
        let found = self.drivers.iter().find(|driver| driver.board.config.name == name);
        found.map(|driver| &driver.board).ok_or_else(|| {
            let names: Vec<&str> = self.drivers.iter().map(|driver| driver.board.config.name.as_str()).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            HostError::NoRoom { reason: format!("this node has no board {name}; it has: {known}") }
        })
    }

    fn load_module(&self, image: ModuleImage, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        let placed = match request.place {
            [] => {
                let reason = "its module has no reservation: reserve a place, link the image there, then load it";
                return Err(HostError::NoRoom { reason: reason.to_owned() });
            }
            place => Placed::decode(place).map_err(bad_image)?,
        };
        check_place(&image, &placed)?;
        let board = self.board(&placed.board)?;
        drop(board.wait_until_up().map_err(|reason| HostError::Unreachable { reason })?);
        let (answer, answers) = mpsc::channel();
        let until = Instant::now() + order_patience(image.text.len());
        let label = request.label.to_owned();
        board.state().orders.push_back(Order { image, label, answer, step: Step::Reserve, until });
        board.ring();
        let Ok(loaded) = answers.recv() else {
            return Err(HostError::Unreachable { reason: "the node stops".to_owned() });
        };
        let Loaded { guest } = loaded?;
        keep(board, guest, request)
    }

    fn take_driver(&self, wanted: &BuiltIn, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        if !request.provider {
            let reason = format!("only the provider of this node may hold the driver {} of its board", wanted.driver);
            return Err(HostError::Denied { reason });
        }
        let board = self.board(&wanted.board)?;
        let mut state = board.wait_until_up().map_err(|reason| HostError::Unreachable { reason })?;
        let names = driver_names(board, &state);
        let Some((handle, _)) = names.iter().find(|(_, name)| *name == wanted.driver) else {
            let known: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
            let reason =
                format!("the board {} has no driver {}; it has: {}", wanted.board, wanted.driver, known.join(", "));
            return Err(HostError::BadImage { reason });
        };
        if state.claimant(*handle).is_some_and(|(_, guest)| !guest.ending) {
            let reason = format!("the driver {} of the board {} is held already", wanted.driver, wanted.board);
            return Err(HostError::Denied { reason });
        }
        let Some(boot) = state.hello.as_ref().map(|hello| hello.boot) else {
            return Err(HostError::Unreachable { reason: board.describe("it was not reached yet") });
        };
        let guest = Guest::new(boot, *handle, true, request.label).map_err(no_bell)?;
        let guest = state.add(guest);
        drop(state);
        keep(board, guest, request)
    }
}

fn no_bell(source: std::io::Error) -> HostError {
    HostError::System { action: "make a doorbell".to_owned(), source }
}

fn bad_image(error: veritee_sancus_format::FormatError) -> HostError {
    HostError::BadImage { reason: error.to_string() }
}

/// Remembers where a module is, in its folder, and gives the daemon its end.
fn keep(board: &Arc<Board>, guest: u64, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
    let mut instance = Instance::of(Arc::clone(board), guest)?;
    let whereabouts = {
        let state = board.state();
        let found = state.guests.get(&guest).map(|guest| Whereabouts {
            board: board.config.name.clone(),
            boot: guest.boot,
            handle: guest.handle,
            driver: guest.driver,
            label: guest.label.clone(),
        });
        found.ok_or_else(|| HostError::Unreachable { reason: board.describe("it was reset meanwhile") })?
    };
    if let Err(source) = whereabouts.keep(request.directory) {
        instance.end();
        return Err(HostError::System { action: "remember where the module is".to_owned(), source });
    }
    Ok(Box::new(instance))
}

/// An image must lie in the place that was reserved for it: on a board there is nobody else to see to that.
fn check_place(image: &ModuleImage, placed: &Placed) -> Result<(), HostError> {
    let fits = |address: u16, length: usize, place: u16, room: u16| address == place && length <= usize::from(room);
    if fits(image.text_address, image.text.len(), placed.text_address, placed.text_bytes)
        && fits(image.secret_address, usize::from(image.secret_bytes), placed.secret_address, placed.secret_bytes)
    {
        return Ok(());
    }
    let reason = format!(
        "it is linked for text {:#06x} and secrets {:#06x}, its reservation is {} bytes at {:#06x} and {} bytes at {:#06x}",
        image.text_address,
        image.secret_address,
        placed.text_bytes,
        placed.text_address,
        placed.secret_bytes,
        placed.secret_address,
    );
    Err(HostError::BadImage { reason })
}

/// The board's drivers by handle, named.
fn driver_names(board: &Board, state: &State) -> Vec<(u8, String)> {
    let mut handles: Vec<u8> =
        state.handles.iter().filter(|handle| handle.state == HandleState::Driver).map(|handle| handle.handle).collect();
    handles.sort_unstable();
    handles.into_iter().zip(0..).map(|(handle, place)| (handle, board.driver_name(place))).collect()
}

/// What is taken on one board: reservations, and what the board needs itself.
struct Taken {
    text: Vec<Range<u32>>,
    secret: Vec<Range<u32>>,
}

impl Taken {
    fn on(board: &Board, state: &State, taken: &[&[u8]]) -> Self {
        let places = taken.iter().filter_map(|place| Placed::decode(place).ok());
        let here: Vec<Placed> = places.filter(|placed| placed.board == board.config.name).collect();
        let drivers = state.handles.iter().filter(|handle| handle.state == HandleState::Driver);
        let range = |address: u16, length: u16| u32::from(address)..u32::from(address) + u32::from(length);
        let text = here.iter().map(|placed| range(placed.text_address, placed.text_bytes));
        let secret = here.iter().map(|placed| range(placed.secret_address, placed.secret_bytes));
        Self {
            text: text.chain(drivers.clone().map(|driver| driver.text.clone())).collect(),
            secret: secret.chain(drivers.map(|driver| driver.secret.clone())).collect(),
        }
    }
}

fn place_on(board: &Board, state: &State, need: Need, taken: &[&[u8]]) -> Result<Placed, HostError> {
    let Some(hello) = &state.hello else {
        return Err(HostError::Unreachable { reason: board.describe("it was not reached yet") });
    };
    let used = Taken::on(board, state, taken);
    let name = &board.config.name;
    let too_big = |bytes: u16, what: &str, range: &Range<u32>, used: &[Range<u32>]| HostError::NoRoom {
        reason: format!("the module needs {bytes} bytes of {what}, the board {name} has {} free", largest(range, used)),
    };
    let text = first_fit(&hello.text, &used.text, need.text_bytes);
    let text = text.ok_or_else(|| too_big(need.text_bytes, "text", &hello.text, &used.text))?;
    let secret = first_fit(&hello.secret, &used.secret, need.secret_bytes);
    let secret = secret.ok_or_else(|| too_big(need.secret_bytes, "secrets", &hello.secret, &used.secret))?;
    Ok(Placed {
        text_address: text,
        text_bytes: need.text_bytes,
        secret_address: secret,
        secret_bytes: need.secret_bytes,
        board: name.clone(),
    })
}

fn claims(board: &Board, state: &State, hello: &Hello, taken: &[&[u8]]) -> Option<Claims> {
    let used = Taken::on(board, state, taken);
    Some(Claims {
        profile: Profile::try_from(hello.profile).ok()?,
        freshness: FreshnessKind::try_from(hello.freshness).ok()?,
        security: u16::from(hello.key_bytes) * 8,
        text_free: largest(&hello.text, &used.text),
        secret_free: largest(&hello.secret, &used.secret),
        drivers: driver_names(board, state).into_iter().map(|(_, name)| name).collect(),
    })
}

impl Platform for SancusPlatform {
    fn name(&self) -> &'static str {
        "sancus"
    }

    fn reserve(&self, request: &ReserveRequest<'_>) -> Result<Vec<u8>, HostError> {
        let need = Need::decode(request.need).map_err(bad_image)?;
        let round = |bytes: u16| bytes.checked_next_multiple_of(2).filter(|bytes| *bytes > 0);
        let (Some(text_bytes), Some(secret_bytes)) = (round(need.text_bytes), round(need.secret_bytes)) else {
            return Err(HostError::BadImage {
                reason: "a module has at least two bytes of text and of secrets".to_owned(),
            });
        };
        let need = Need { text_bytes, secret_bytes };
        let boards: Vec<&Arc<Board>> = match request.board {
            "" => self.drivers.iter().map(|driver| &driver.board).collect(),
            name => vec![self.board(name)?],
        };
        let mut refusal =
            HostError::NoRoom { reason: "this node has no board: `[[board]]` in its configuration".to_owned() };
        for board in boards {
            let placed = match board.wait_until_up() {
                Ok(state) => place_on(board, &state, need, request.taken),
                Err(reason) => Err(HostError::Unreachable { reason }),
            };
            match placed {
                Ok(placed) => return Ok(placed.encode()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn boards(&self, taken: &[&[u8]]) -> Vec<Report> {
        let report = |driver: &Driver| {
            let board = &driver.board;
            let state = board.state();
            let claims = state.hello.as_ref().and_then(|hello| claims(board, &state, hello, taken));
            let words = claims.as_ref().map(Claims::to_string).unwrap_or_default();
            let claims = claims.map(|claims| claims.encode()).unwrap_or_default();
            let trouble = if state.trouble.is_empty() { String::new() } else { board.describe(&state.trouble) };
            Report { name: board.config.name.clone(), claims, words, trouble }
        };
        self.drivers.iter().map(report).collect()
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        match Image::decode(request.image).map_err(bad_image)? {
            Image::Module(image) => self.load_module(image, request),
            Image::BuiltIn(wanted) => self.take_driver(&wanted, request),
        }
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        let nothing = || HostError::NothingToAdopt { directory: directory.to_owned() };
        let Whereabouts { board, boot, handle, driver, label } = Whereabouts::find(directory).ok_or_else(nothing)?;
        let board = self.board(&board).map_err(|_| nothing())?;
        let mut state = board.state();
        // A board that was not reached yet: it turns out later whether the module lives.
        if state.hello.as_ref().is_some_and(|hello| hello.boot != boot) {
            return Err(nothing());
        }
        if state.guests.values().any(|guest| (guest.boot, guest.handle) == (boot, handle) && !guest.gone) {
            return Err(nothing());
        }
        let guest = Guest::new(boot, handle, driver, &label).map_err(no_bell)?;
        let guest = state.add(guest);
        drop(state);
        Ok(Box::new(Instance::of(Arc::clone(board), guest)?))
    }

    fn runner(&self, _arguments: &[OsString]) -> ExitCode {
        // Modules run on boards, not in processes of this machine.
        ExitCode::FAILURE
    }
}
