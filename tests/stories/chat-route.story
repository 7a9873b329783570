# A rule has large messages take the second link, at once and before what goes by radio; when that link is away they
# wait for it, and their conversation with them.
sites    hq field
weather  calm
seed     45
chat     alternate=tcp route-over=250 filter=none

hq     chat dan to eve@field.test "Short"
hq     chat ann to bob@field.test "A long message, which would take its time on the radio: it says all that there is to say about the state of the stores, item by item, and then once more in other words"
then   within 10s  field hears "A long message, which would take its time on the radio: it says all that there is to say about the state of the stores, item by item, and then once more in other words"
then   within 2m   field hears "Short"
hq     link chat-sat-field down
hq     chat ann to bob@field.test "Another long message, which would take its time on the radio: it says all that there is to say about the state of the engines, one by one, and then once more in other words"
hq     chat ann to bob@field.test "Short, behind it"
never  within 10m  field hears "Short, behind it"
hq     crash for 1m
wait   2m
hq     link chat-sat-field down
never  within 5m   field hears "Short, behind it"
hq     link chat-sat-field up
then   within 3m   field hears "Short, behind it"
then   field hears "Another long message, which would take its time on the radio: it says all that there is to say about the state of the engines, one by one, and then once more in other words" before "Short, behind it"
