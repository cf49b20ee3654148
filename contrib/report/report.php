<?php
// Reports a failed login: f2bd_report('shop', $_SERVER['REMOTE_ADDR'], $user);
function f2bd_report(string $service, string $ip, ?string $user = null, string $to = '/run/f2bd/report.sock'): bool
{
    $report = ['service' => $service, 'ip' => $ip];
    if ($user !== null) {
        $report['user'] = $user;
    }
    $socket = @stream_socket_client("udg://$to", $code, $why);
    if ($socket === false) {
        return false;
    }
    // Whoever logs in must not wait for a daemon that is busy.
    stream_set_blocking($socket, false);
    $text = json_encode($report, JSON_INVALID_UTF8_SUBSTITUTE);
    return @stream_socket_sendto($socket, $text) === strlen($text);
}
