# Without a filter a user sees that the other types, which on a radio is before the words only if the link is idle.
sites    hq field
weather  calm
seed     53
chat     filter=none

hq     types ann to bob@field.test
then   within 3m   field hears typing from ann@hq.test
hq     chat ann to bob@field.test "Here they are"
then   within 3m   field hears "Here they are"
