
# Queries and the values of flags: the program itself knows what can follow.
function __tracklight_ask
    set -g __tracklight_found (command tracklight query complete --shell fish -- (commandline -cp | string collect) 2>/dev/null </dev/null)
    test $status -le 1
end
complete -c tracklight -n __tracklight_ask -f -k -a '$__tracklight_found'
