-- Whoever mistypes and is let in then has failed all the same, but it counts no more.

ALTER TABLE failures ADD COLUMN cleared INTEGER; -- a login took it back: the number of the failure that came next

-- What a restart asks for; hosts are banned a thousand times as often.
CREATE INDEX bans_of_networks ON bans (start) WHERE origin IN ('network', 'manual');
