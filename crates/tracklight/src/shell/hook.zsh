
# Queries and the values of flags: the program itself knows what can follow.
_tracklight() {
    local answer line
    local -a found shown suffix
    answer=$(command tracklight query complete --shell zsh -- \
        "${(j: :)words[1,CURRENT-1]} ${QIPREFIX}${IPREFIX}${PREFIX}" 2>/dev/null </dev/null)
    case $? in
        0) ;;
        1) return 1 ;;
        *) _tracklight_flags "$@"; return ;;
    esac
    for line in "${(@f)answer}"; do
        found+=("${line%%$'\t'*}")
        shown+=("${line#*$'\t'}")
    done
    # The program has compared with what is typed: -U. A query in quotes may go on: no end of them.
    [[ -n $compstate[quoting] ]] && suffix=(-S '')
    compadd -U $suffix -l -V tracklight -d shown -a found
}

if [ "$funcstack[1]" = "_tracklight" ]; then
    _tracklight "$@"
else
    compdef _tracklight tracklight
fi
