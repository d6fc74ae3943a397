//! What comes after the end of a run: its data set goes where its recipe says.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{argilla, hub};
use crate::argilla::ArgillaAccess;
use crate::cli::progress::SCHEMA_VERSION;
use crate::cli::screen::Screen;
use crate::hub::HubOptions;
use crate::pipeline::{Delivered, Delivery, Remotes};
use crate::recipe::Recipe;
use crate::{Error, Result};

/// What a recipe's run does after its end: where its data set goes.
pub(in crate::cli) struct Endings {
    deliveries: Vec<Delivery>,
    remotes: Remotes,
    /// Whether only some rows are run, which are none to show.
    is_limited: bool,
}

impl Endings {
    /// Looks whether every place can be gone to; before any model is loaded.
    ///
    /// # Errors
    /// When one cannot.
    pub(in crate::cli) fn check(
        recipe: &Recipe,
        is_offline: bool,
        is_limited: bool,
    ) -> Result<Self> {
        let remotes = Remotes {
            hub: HubOptions::from_env(is_offline),
            argilla: ArgillaAccess::from_env(None, is_offline),
        };
        let endings = Self { deliveries: Delivery::of(recipe), remotes, is_limited };
        for delivery in &endings.deliveries {
            if endings.held(delivery).is_none() {
                delivery.check(recipe, &endings.remotes)?;
            }
        }
        Ok(endings)
    }

    /// Why nothing is brought to a place, if nothing is.
    fn held(&self, delivery: &Delivery) -> Option<&'static str> {
        match (delivery.is_offline(&self.remotes), self.is_limited) {
            (true, _) => Some("offline"),
            (false, true) => Some("a limited run is none to show"),
            (false, false) => None,
        }
    }

    /// Brings the run in `run` to every place and tells `done` of each; one that fails keeps no
    /// other from its turn.
    ///
    /// # Errors
    /// Of the first that failed, with the command that does it alone.
    pub(in crate::cli) fn carry_out(
        &self,
        run: &Path,
        (screen, is_quiet): (&Screen, bool),
        interrupt: &AtomicBool,
        done: &mut dyn FnMut(&Delivered),
    ) -> Result<()> {
        let mut ended = Ok(());
        for delivery in &self.deliveries {
            let command = delivery.command(run);
            let interrupted = interrupt.load(Ordering::Relaxed).then_some("interrupted");
            if let Some(why) = self.held(delivery).or(interrupted) {
                screen.tell(&format!("nothing was pushed ({why}); this does it: {command}"));
                continue;
            }
            let mut tell = hub::sending(*screen, is_quiet);
            match delivery.carry_out(run, &self.remotes, &mut tell) {
                Ok(delivered) => done(&delivered),
                Err(error) => {
                    let error = failed(error, &command);
                    if ended.is_err() {
                        screen.tell(&error.to_string());
                    } else {
                        ended = Err(error);
                    }
                }
            }
        }
        ended
    }
}

/// The run is finished and on the disk, whatever kept its data set from being pushed.
fn failed(error: Error, command: &str) -> Error {
    let what = format!("the run is finished, but was not pushed: {error}");
    let hint = error.hint().map_or(String::new(), |hint| format!("{hint}; then "));
    Error::Remote { what, hint: format!("{hint}this pushes it: {command}"), source: None }
}

/// A delivery in a line or some.
pub(in crate::cli) fn delivered(delivered: &Delivered) -> String {
    match delivered {
        Delivered::Hub(pushed) => hub::outcome(pushed),
        Delivered::Argilla(pushed) => argilla::shown(pushed),
    }
}

/// A delivery as an event.
pub(in crate::cli) fn delivered_line(delivered: &Delivered) -> String {
    let (place, mut line) = match delivered {
        Delivered::Hub(pushed) => ("hub", hub::fields(pushed)),
        Delivered::Argilla(pushed) => ("argilla", json!(pushed)),
    };
    line["event"] = json!("pushed");
    line["to"] = json!(place);
    line["schema_version"] = json!(SCHEMA_VERSION);
    line.to_string()
}
