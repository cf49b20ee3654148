//! What are the actions of a jail to those who ask in Fail2ban's words?
//!
//! In: a [`Tree`]. Out: of each jail the actions by the names that Fail2ban has for them, with the names of what they have.

use std::collections::BTreeMap;

use crate::config::fail2ban::Tree;
use crate::config::fail2ban::action::Stock;
use crate::config::fail2ban::jail::{State, TreeAction, is_python};
use crate::control::protocol::SaidAction;
use crate::engine::name::JailName;

impl Tree {
    /// The actions of all jails that Fail2ban would start, in their order.
    pub fn said_actions(&self) -> BTreeMap<JailName, Vec<SaidAction>> {
        let stock = Stock::known();
        let jails = self.jails.iter().filter_map(|jail| {
            let State::On(started) = &jail.state else {
                return None;
            };
            let said = |action| said(&stock, &jail.name, action);
            Some((
                jail.name.parse().ok()?,
                started.actions.iter().filter_map(said).collect(),
            ))
        });
        jails.collect()
    }
}

/// An action, unless it is left out since it is in Python.
fn said(stock: &Stock, jail: &str, action: &TreeAction) -> Option<SaidAction> {
    let instead = stock.native(jail, action).map(|fit| fit.native.action);
    if instead.is_none() && is_python(&action.file) {
        return None;
    }
    let commands = action.options.iter().map(|(name, _)| name);
    let parameters = action.parameters.iter().map(|(name, _)| name);
    Some(SaidAction {
        action: action.name.clone(),
        instead,
        properties: commands.chain(parameters).map(str::to_owned).collect(),
    })
}
