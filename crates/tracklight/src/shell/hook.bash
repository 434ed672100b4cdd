
# Queries and the values of flags: the program itself knows what can follow.
_tracklight_query() {
    local answer="" status=0 part=1 line
    answer=$(command tracklight query complete --shell bash --word-breaks "$COMP_WORDBREAKS" \
        -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null) || status=$?
    COMPREPLY=()
    if ((status > 1)); then
        _tracklight "$@"
        return
    fi
    # No names of files where a query stands.
    compopt +o default +o bashdefault 2>/dev/null
    # Listing inserts nothing: the last word of a query in quotes is enough then.
    ((COMP_TYPE == 63)) && part=2
    while IFS= read -r line; do
        if [[ -n $line ]]; then
            if ((part == 1)); then COMPREPLY+=("${line%%$'\t'*}"); else COMPREPLY+=("${line#*$'\t'}"); fi
        fi
    done <<<"$answer"
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _tracklight_query -o nosort -o bashdefault -o default tracklight
else
    complete -F _tracklight_query -o bashdefault -o default tracklight
fi
