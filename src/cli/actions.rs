//! `f2bd actions`: which actions are there, and what can be set of each?
//!
//! In: the action files. Out: a table of all, or all that an administrator has to know of some. Nothing is done here.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::failure::{Exit, Failure};
use super::output::{self, HEADING, Table, harmless};
use crate::action::parameter::{Given, Parameter, Sort};
use crate::config::fail2ban::is_tree;
use crate::config::{self, ListedAction, Problems};

/// Prints all actions, or these.
///
/// # Errors
/// There is no action of such a name, or one cannot be used.
pub fn run(names: &[String], json: bool, config: Option<&Path>) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let known = config::action_names(config);
    let asked = if names.is_empty() { &known } else { names };
    if let Some(name) = asked.iter().find(|name| !known.contains(name)) {
        return Err(config
            .and_then(|folder| of_tree(name, folder))
            .unwrap_or_else(|| unknown(name, &known)));
    }
    let read = |name: &String| config::read_action(name, config, &mut problems);
    let actions: Vec<ListedAction> = asked.iter().filter_map(read).collect();
    let mut out = output::stdout();
    if json {
        for action in &actions {
            writeln!(out, "{}", object(action))?;
        }
    } else if names.is_empty() {
        let mut table = Table::new(&["ACTION", "WHAT IT DOES"]);
        for action in &actions {
            table.row([action.name.clone(), harmless(&action.file.title)]);
        }
        table.print(&mut out)?;
    } else {
        for action in &actions {
            describe(&mut out, action)?;
        }
    }
    out.flush()?;
    match problems.into_sorted().as_slice() {
        [] => Ok(()),
        problems => Err(Failure::of_problems(problems)),
    }
}

/// What is said of an action of a directory of Fail2ban's: nothing here can set its parameters.
fn of_tree(name: &str, folder: &Path) -> Option<Failure> {
    if !is_tree(folder) || name.contains('/') {
        return None;
    }
    let mut files = [".conf", ".local", ""]
        .iter()
        .map(|end| folder.join("action.d").join(format!("{name}{end}")));
    let file = files.find(|file| file.is_file())?;
    let (name, file) = (harmless(name), file.display());
    let text = format!(
        "`{name}` is an action of Fail2ban's, in {file}: `fail2ban-client -d` lists what its jails make of it"
    );
    Some(Failure::new(Exit::NoInput, text))
}

fn unknown(name: &str, known: &[String]) -> Failure {
    let near = config::nearest(name, known.iter().map(String::as_str));
    let near = near.map_or_else(
        || "`f2bd actions` lists all".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let name = harmless(name);
    Failure::new(
        Exit::NoInput,
        format!("there is no action `{name}`: {near}"),
    )
}

fn describe(out: &mut impl Write, action: &ListedAction) -> std::io::Result<()> {
    let file = &action.file;
    let title = harmless(&file.title);
    writeln!(out, "{HEADING}{}{HEADING:#}: {title}", action.name)?;
    if let Some(needs) = &file.needs {
        // Some show lines for the configuration of somebody else.
        let lines: Vec<_> = needs.trim().lines().map(harmless).collect();
        writeln!(out, "  needs: {}", lines.join("\n         "))?;
    }
    for (name, parameter) in file.parameters.iter() {
        let default = match &parameter.default {
            Some(default) => format!("default {default}"),
            None => "must be set".to_owned(),
        };
        let about = harmless(&parameter.about);
        writeln!(
            out,
            "  {HEADING}{name}{HEADING:#} ({}; {default})",
            kind(parameter)
        )?;
        writeln!(out, "      {about}")?;
    }
    writeln!(out, "  file: {}", action.path.display())
}

/// What a parameter takes, in the words of action files.
fn kind(parameter: &Parameter) -> String {
    let one = match parameter.sort {
        Sort::Choice => parameter.wanted(),
        sort => sort.to_string(),
    };
    match parameter.list && parameter.sort != Sort::Choice {
        true => format!("a list: {one}"),
        false => one,
    }
}

fn object(action: &ListedAction) -> Value {
    let parameters = action.file.parameters.iter().map(|(name, parameter)| {
        let default = match &parameter.default {
            Some(Given::One(text)) => json!(text),
            Some(Given::Many(texts)) => json!(texts),
            Some(Given::Secret(_)) => json!(null),
            None => Value::Null,
        };
        let about = json!({
            "type": parameter.sort.to_string(),
            "choices": parameter.choices.keys().collect::<Vec<_>>(),
            "list": parameter.list,
            "default": default,
            "about": parameter.about,
        });
        (name.to_owned(), about)
    });
    json!({
        "action": action.name,
        "title": action.file.title,
        "needs": action.file.needs,
        "parameters": parameters.collect::<Map<_, _>>(),
        "path": action.path.to_string_lossy(),
    })
}
