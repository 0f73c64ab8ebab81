#!/usr/bin/env bash
# Makes the two databases and their accounts. The image of MariaDB sources this file when it begins with an empty
# volume. It sources it because it is not executable, and it has docker_process_sql, a function that takes SQL on its
# standard input. The passwords come from /run/secrets, or from the folder in CROSSKEY_SECRETS.
#
# When this file is sourced again later, it sets the passwords to what they are then: see README.md.
#
# Each service has one account that serves, which can read and write rows but change no table, and one that migrates.

crosskey_accounts() {
  local database=$1 secret=$2 serve migrate all
  # In a GRANT an underscore stands for any character.
  all="\`${database//_/\\_}\`.*"
  serve=$(cat "${CROSSKEY_SECRETS:-/run/secrets}/$secret") || return 1
  migrate=$(cat "${CROSSKEY_SECRETS:-/run/secrets}/${secret}_migrate") || return 1
  case $serve$migrate in
    *[!A-Za-z0-9._~-]*)
      echo "accounts.sh: a password has other characters than A-Z a-z 0-9 . _ ~ -" >&2
      return 1
      ;;
  esac
  if [ -z "$serve" ] || [ -z "$migrate" ]; then
    echo "accounts.sh: a password of $database is empty" >&2
    return 1
  fi
  docker_process_sql <<SQL
CREATE DATABASE IF NOT EXISTS $database CHARACTER SET utf8mb4;
CREATE OR REPLACE USER $database@'%' IDENTIFIED VIA ed25519 USING PASSWORD('$serve');
GRANT SELECT, INSERT, UPDATE, DELETE ON $all TO $database@'%';
CREATE OR REPLACE USER ${database}_migrate@'%' IDENTIFIED VIA ed25519 USING PASSWORD('$migrate');
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES ON $all TO ${database}_migrate@'%';
SQL
}

crosskey_accounts crosskey_user user_db && crosskey_accounts crosskey_post post_db
