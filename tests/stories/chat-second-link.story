# The radio is out: what is not on its way goes by the second link; a conversation that has something on the radio waits
# for it, to keep its order. When the radio is back it is used again.
sites    hq field
weather  calm
seed     44
chat     alternate=tcp filter=none

hq     chat ann to bob@field.test "By radio"
then   within 2m   field hears "By radio"
radio  outage 30m
hq     chat ann to bob@field.test "In a block"
wait   3m
hq     chat dan to eve@field.test "By satellite"
then   within 1m   field hears "By satellite"
hq     chat ann to bob@field.test "Behind the block"
then   within 10s  hq shows "waits for what was said before"
never  within 10m  field hears "Behind the block"
then   within 40m  field hears "Behind the block"
then   field hears "In a block" before "Behind the block"
# The operator takes the radio's link away: nothing waits for it, but what is behind words not yet acknowledged (a minute).
hq     link chat down
hq     chat ann to bob@field.test "Around"
then   within 2m   field hears "Around"
hq     link chat up
hq     chat ann to bob@field.test "And back"
then   within 3m   field hears "And back"
