//! How is a ruleset loaded?
//!
//! By nft, in one transaction: it takes all of the text or nothing. The text comes through standard input. Elements
//! of sets do not go this way.

use std::path::Path;
use std::time::Duration;

use crate::action::exec::{self, Environment, Errand, ExecError};

/// How long nft may take. It needs milliseconds; on a machine that is out of breath some seconds. Much less than
/// the service manager's patience, since an action that ends is waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// Has nft load a text.
///
/// # Errors
/// Nothing of it was loaded.
pub fn load(program: &Path, text: &str) -> Result<(), ExecError> {
    let argv = [program.display().to_string(), "-f".into(), "-".into()];
    exec::run(&Errand {
        argv: &argv,
        input: text.as_bytes(),
        deadline: DEADLINE,
        accepts: &[0],
        environment: Environment::Bare,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_complains_about_is_told() {
        // `cat -f -` refuses its option.
        let error = load(Path::new("cat"), "text").expect_err("cat is no nft");
        assert!(
            matches!(&error, ExecError::Refused { complaint, .. } if complaint.contains("option")),
            "{error}"
        );
        let error = load(Path::new("/no/such/nft"), "text").expect_err("it is not there");
        assert!(
            error.to_string().starts_with("cannot run /no/such/nft: "),
            "{error}"
        );
    }
}
