# Asks Fail2ban's own fail2ban-regex: on each line of input a list of its arguments, as JSON; on each line of output its exit
# code and what it printed. It runs with Debian's package fail2ban, of which nothing is here.
import contextlib, io, json, sys, warnings

from fail2ban.client.fail2banregex import exec_command_line

warnings.simplefilter("ignore")

for line in sys.stdin:
    sys.argv = ["fail2ban-regex"] + json.loads(line)
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec_command_line()
        except SystemExit as error:
            code = error.code
    print(json.dumps([code, out.getvalue()]), flush=True)
