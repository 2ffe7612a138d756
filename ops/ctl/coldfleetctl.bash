# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for bash: the program itself says which commands, options and choices there are. Files where it has nothing.
_coldfleetctl() {
	mapfile -t COMPREPLY < <("$1" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _coldfleetctl coldfleetctl
