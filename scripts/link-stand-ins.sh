#!/bin/sh
# Links chancery under the names of the tools for which it stands in.
# usage: link-stand-ins.sh FOLDER    where chancery is
set -eu

for name in chancery-gpg chancery-sign-file chancery-ssh-keygen; do
    ln -sfn chancery "$1/$name"
done
