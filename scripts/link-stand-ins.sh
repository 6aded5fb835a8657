#!/bin/sh
# Links chancery under the names of the tools for which it stands in.
# usage: link-stand-ins.sh FOLDER    where chancery is
set -eu

for name in gpg pesign sbsign sign-file ssh-keygen systemd-sbsign; do
    ln -sfn chancery "$1/chancery-$name"
done
