# Reads what bench/run measured, prints the table, and says what misses what it must
# reach (exit status 1).
#
#   time   SIZE KEY wall user system peak-KiB status others
#   events SIZE WHO made seen lost rate
#   live   SIZE KEY number unit ...
#   served SIZE KEY number unit ...
#   pressed SIZE WHERE KEY median-ms maximum-ms presses
#   pressed SIZE WHERE refreshed rows-refreshed table-read cpu-seconds seconds

$1 == "time" {
    sizes[$2]
    number[$2, $3]++
    every[$2, $3, number[$2, $3]] = $4
    # As in bench/run: a tenth of a core, and what the clock tick may be wrong by.
    if ($9 <= 0.1 * $4 + 0.03) calm[$2, $3, ++calms[$2, $3]] = $4
    if ($7 > peak[$2, $3]) peak[$2, $3] = $7
}

$1 == "events" {
    rounds = ++heard[$2, $3]
    made[$2, $3] += $4
    lost[$2, $3] += $6
    if ($6 > worst[$2, $3]) worst[$2, $3] = $6
    if (rounds == 1 || $7 < slowest[$2, $3]) slowest[$2, $3] = $7
    if ($7 > fastest[$2, $3]) fastest[$2, $3] = $7
}

$1 == "live" {
    live[$2]
    if (!(($2, $3) in cost) || $4 > cost[$2, $3]) cost[$2, $3] = $4
}

$1 == "served" {
    served[$2]
    if (!(($2, $3) in http) || $4 > http[$2, $3]) http[$2, $3] = $4
}

$1 == "pressed" && $4 == "refreshed" {
    refreshes[$2, $3] = $5
    readings[$2, $3] = $6
    refresh[$2, $3] = $5 ? $7 / $5 : $7
    while_of[$2, $3] = $8
}

$1 == "pressed" && NF == 7 {
    pressed[$2]
    if (!(($2, $3, $4) in answer) || $5 > answer[$2, $3, $4]) answer[$2, $3, $4] = $5
    if ($6 > longest[$2, $3, $4]) longest[$2, $3, $4] = $6
}

# Processor time, user and system, of which the least is the least disturbed.
$1 == "time" && (!(($2, $3) in spent) || $5 + $6 < spent[$2, $3]) {
    spent[$2, $3] = $5 + $6
}

END {
    judged = 1000000
    print "| entries | work | time | compared with | time of that | ratio | of the fastest | must | ns an entry | peak MiB |"
    print "|--:|---|--:|---|--:|--:|--:|--:|--:|--:|"
    count = ordered(sizes, order)
    for (i = 1; i <= count; i++) {
        size = order[i]
        slower("dump, every entry decoded", "dump", "drain: a dump thrown away", "drain", 1.10, 0)
        slower("BPF walk, every entry decoded", "walk", "drain", "drain", 0, 0)
        faster("`list -o conntrack`", "list", "`conntrack -L`", "conntrack-L", 8)
        faster("the same over netlink", "list-netlink", "`conntrack -L`", "conntrack-L", 1.9)
        faster("contract read, tcp ESTABLISHED, 25", "contract", "`conntrack -L`", "conntrack-L", 10)
        slower("the same over netlink", "contract-netlink", "drain", "drain", 1.13, 32)
        faster("`group --by src`", "group", "`conntrack -L`", "conntrack-L", 0)
        slower("the same over netlink", "group-netlink", "drain", "drain", 1.15, 0)
        faster("`list -s ADDRESS`", "source", "`conntrack -L -s ADDRESS`", "conntrack-L-s", 20)
        faster("the same over netlink", "source-netlink", "`conntrack -L -s ADDRESS`", "conntrack-L-s", 8)
        faster("`count -p udp --dport 53`", "count", "`conntrack -L -p udp --dport 53`", "conntrack-L-dport", 0)
        faster("`list`, a table", "list-table", "`conntrack -L`", "conntrack-L", 0)
        faster("`list -o json`", "list-json", "`conntrack -L`", "conntrack-L", 0)
        faster("`list -o csv`", "list-csv", "`conntrack -L`", "conntrack-L", 0)
        faster("`list --sort bytes -n 25`", "list-sorted", "`conntrack -L`", "conntrack-L", 0)
        faster("`delete -p udp --dport 53`", "delete", "`conntrack -D -p udp --dport 53`", "conntrack-D", 5)
        faster("`delete -s ADDRESS`", "delete-source", "`conntrack -D -s ADDRESS`", "conntrack-D-s", 8)
        events("`watch`", "watch", "`conntrack -E`", "conntrack-E")
        faster("our `conntrack -L -s ADDRESS`", "compat-L-s", "`conntrack -L -s ADDRESS`", "conntrack-L-s", 3)
        faster("our `conntrack -D -p udp --dport 53`", "compat-D", "`conntrack -D -p udp --dport 53`", "conntrack-D", 3)
        faster("our `conntrack -D -s ADDRESS`", "compat-D-s", "`conntrack -D -s ADDRESS`", "conntrack-D-s", 3)
        faster("our `conntrack -R FILE`", "compat-R", "`conntrack -R FILE`", "conntrack-R", 1)
        events("our `conntrack -E`", "compat-E", "`conntrack -E`", "conntrack-E")
    }
    if (count > 1) memory(order[1], order[count])
    flat("list")
    kept()
    over_http()
    screens()
    print "\nTimes are of undisturbed measurements, where there are at least two."
    if (misses) {
        printf "\nMissed:\n\n%s", misses
        exit 1
    }
    print "\nNothing misses what it must reach."
}

# --- Rows --------------------------------------------------------------------

# Ours may take so many times as long as the other; 0: for information.
function slower(work, ours, with, other, most, mebibytes,    ratio, must, is_judged) {
    if (!((size, ours) in number)) return
    is_judged = size == judged
    ratio = median(ours) / median(other)
    must = most && is_judged ? sprintf("≤ %.2f", most) : ""
    if (must && ratio > most)
        miss(sprintf("%s at %s: %.3f × %s, must be ≤ %.2f", work, grouped(size), ratio, with, most))
    if (mebibytes && peak[size, ours] >= mebibytes * 1024)
        miss(sprintf("%s at %s: %.1f MiB, must be under %d", work, grouped(size), peak[size, ours] / 1024, mebibytes))
    row(work, ours, with, other, sprintf("%.2f × as long", ratio), sprintf("%.2f", fastest_of(ours) / fastest_of(other)), must)
}

# Ours must be so many times as fast as the other; 0: for information.
function faster(work, ours, with, other, least,    ratio, must) {
    if (!((size, ours) in number)) return
    ratio = median(other) / median(ours)
    must = least && size == judged ? sprintf("≥ %.1f", least) : ""
    if (must && ratio < least)
        miss(sprintf("%s at %s: %.2f × as fast as %s, must be ≥ %.1f", work, grouped(size), ratio, with, least))
    row(work, ours, with, other, sprintf("%.2f × as fast", ratio), sprintf("%.2f", fastest_of(other) / fastest_of(ours)), must)
}

function row(work, ours, with, other, ratio, best, must) {
    printf "| %s | %s | %s | %s | %s ", grouped(size), work, span(ours), with, span(other)
    printf "| %s | %s | %s | %.0f | %.1f |\n", ratio, best, must, median(ours) * 1e9 / size, peak[size, ours] / 1024
}

function events(work, ours, with, other,    must) {
    if (!((size, ours) in heard)) return
    must = size == judged ? "none lost" : ""
    if (must && worst[size, ours])
        miss(sprintf("%s at %s: lost %d events in one round, must lose none", work, grouped(size), worst[size, ours]))
    printf "| %s | %s, all entries new | %s | %s ", grouped(size), work, told(ours), with
    printf "| %s | | | %s | | %.1f |\n", told(other), must, peak[size, ours] / 1024
}

function told(who,    loss, rate) {
    loss = lost[size, who] ? sprintf("%.1f %% lost", 100 * lost[size, who] / made[size, who]) : "none lost"
    rate = grouped(slowest[size, who])
    if (fastest[size, who] > slowest[size, who]) rate = rate "–" grouped(fastest[size, who])
    return loss " at " rate " a second"
}

# What streams must not grow with the table.
function memory(small, large,    grown) {
    grown = (peak[large, "list-netlink"] - peak[small, "list-netlink"]) / 1024
    printf "\nPeak of `list -o conntrack` over netlink from %s to %s entries: %+.1f MiB (must be under 2).\n", grouped(small), grouped(large), grown
    if (grown >= 2)
        miss(sprintf("`list -o conntrack` over netlink grows by %.1f MiB from %s to %s entries", grown, grouped(small), grouped(large)))
}

# What an entry costs must not depend on how many there are.
function flat(key,    i, cost, least, most, sizes_seen) {
    for (i = 1; i <= count; i++) {
        size = order[i]
        if (size < 100000 || !((size, key) in number)) continue
        cost = median(key) * 1e9 / size
        if (!sizes_seen++ || cost < least) least = cost
        if (sizes_seen == 1 || cost > most) most = cost
    }
    if (sizes_seen < 2) return
    printf "\nAn entry of `list -o conntrack` by BPF costs %.0f to %.0f ns from 100,000 entries on: %.2f × (must be ≤ 1.50).\n", least, most, most / least
    if (most > 1.5 * least)
        miss(sprintf("an entry of `list -o conntrack` by BPF costs %.2f × as much at one size as at another, must be ≤ 1.50", most / least))
}

# The live table of the daemon: what one costs at each size.
function kept(    i, sizes_kept, many) {
    many = ordered(live, sizes_kept)
    if (!many) return
    print "\n| entries kept live | first reading | slowest page of 100 | bytes a connection | of a core |"
    print "|--:|--:|--:|--:|--:|"
    for (i = 1; i <= many; i++) {
        size = sizes_kept[i]
        printf "| %s | %s | %s | %d | %.1f %% |\n", grouped(size), time(cost[size, "ready"]), time(cost[size, "page"]), cost[size, "memory"], cost[size, "steady"]
        if (size != judged) continue
        if (cost[size, "page"] > 0.1)
            miss(sprintf("a page of 100 takes %s at %s, must be ≤ 100 ms", time(cost[size, "page"]), grouped(size)))
        if (cost[size, "memory"] > 200)
            miss(sprintf("a connection takes %d bytes at %s, must be ≤ 200", cost[size, "memory"], grouped(size)))
        if (cost[size, "steady"] > 10)
            miss(sprintf("the live table takes %.1f %% of a core at %s, must be ≤ 10", cost[size, "steady"], grouped(size)))
    }
}

# The daemon as its clients see it.
function over_http(    i, sizes_served, many) {
    many = ordered(served, sizes_served)
    if (!many) return
    print "\n| entries served | slowest page of 100, HTTP | nobody watches | one watches | 50 watch the same | 50 watch different pages | above idle, 50 against one | 50 that take nothing |"
    print "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= many; i++) {
        size = sizes_served[i]
        printf "| %s | %s | %.1f %% of a core | %.1f %% | %.1f %% | %.1f %% | %.2f × | %.1f MB more |\n", grouped(size), time(http[size, "page"]), http[size, "watched-by-nobody"], http[size, "watched-by-one"], http[size, "watched-by-50"], http[size, "watched-by-50-differently"], http[size, "above-idle"], http[size, "slow"]
        if (size != judged) continue
        if (http[size, "page"] > 0.1)
            miss(sprintf("a page of 100 over HTTP takes %s at %s, must be ≤ 100 ms", time(http[size, "page"]), grouped(size)))
        if (http[size, "ratio"] > 2)
            miss(sprintf("50 who watch cost %.2f × as much as one at %s, must be ≤ 2", http[size, "ratio"], grouped(size)))
    }
}

# The terminal screen: from the press of a key to the frame that answers it, and what a refresh of the rows costs.
function screens(    i, sizes_pressed, many) {
    many = ordered(pressed, sizes_pressed)
    if (!many) return
    print "\n| entries | `top` | movement | sort | order | typing | groups | details | freeze | refreshes | readings | a refresh, processor | of a snapshot |"
    print "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= many; i++) {
        size = sizes_pressed[i]
        screen("direct", "on the kernel's table")
        screen("daemon", "on a daemon, its own cost")
    }
    print "\nMedian of at least 50 presses in a pseudo-terminal, in ms, and the slowest. Refreshes go on meanwhile. Then a run"
    print "without a key: how often the rows were refreshed and the table was read in so many seconds, and all of the"
    print "processor time from the start to the end, readings included, by the refreshes of the rows."
}

function screen(where, place,    keys, many, i, snapshot) {
    if (!((size, where) in refresh)) return
    snapshot = (size, "walk") in spent ? spent[size, "walk"] : spent[size, "dump"]
    many = split("movement sort order typing groups details freeze", keys, " ")
    printf "| %s | %s ", grouped(size), place
    for (i = 1; i <= many; i++) {
        printf "| %.1f (%.1f) ", answer[size, where, keys[i]], longest[size, where, keys[i]]
        if (size == judged && answer[size, where, keys[i]] > 50)
            miss(sprintf("a key (%s) is answered in %.1f ms at %s, %s, must be ≤ 50", keys[i], answer[size, where, keys[i]], grouped(size), place))
    }
    printf "| %d in %.0f s | %d ", refreshes[size, where], while_of[size, where], readings[size, where]
    printf "| %.0f ms | %.2f × |\n", 1000 * refresh[size, where], refresh[size, where] / snapshot
    if (size == judged && refresh[size, where] > 1.1 * snapshot)
        miss(sprintf("a refresh costs %.2f × a snapshot at %s, %s, must be ≤ 1.10", refresh[size, where] / snapshot, grouped(size), place))
}

function miss(text) {
    misses = misses "- " text "\n"
}

# --- Numbers -----------------------------------------------------------------

# The undisturbed measurements, or all where fewer than two were.
function sorted(key, into,    is_calm, n, i, j, value) {
    is_calm = calms[size, key] > 1
    n = is_calm ? calms[size, key] : number[size, key]
    for (i = 1; i <= n; i++) {
        value = is_calm ? calm[size, key, i] : every[size, key, i]
        for (j = i - 1; j > 0 && into[j] > value; j--) into[j + 1] = into[j]
        into[j + 1] = value
    }
    return n
}

function median(key,    n, values) {
    n = sorted(key, values)
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

function fastest_of(key,    values) {
    sorted(key, values)
    return values[1]
}

# Median, and the range if there is one.
function span(key,    n, values) {
    n = sorted(key, values)
    if (n == 1) return time(values[1])
    return time(median(key)) " (" bare(values[1]) "–" bare(values[n]) ")"
}

function time(value) { return bare(value) (value < 0.1 ? " ms" : " s") }
function bare(value) { return value < 0.1 ? sprintf("%.1f", value * 1000) : sprintf("%.2f", value) }

# 1000000: 1,000,000.
function grouped(value,    text, result) {
    text = sprintf("%d", value)
    while (length(text) > 3) {
        result = "," substr(text, length(text) - 2) result
        text = substr(text, 1, length(text) - 3)
    }
    return text result
}

function ordered(set, into,    n, key, j) {
    n = 0
    for (key in set) {
        for (j = n; j > 0 && into[j] + 0 > key + 0; j--) into[j + 1] = into[j]
        into[j + 1] = key
        n++
    }
    return n
}
