# A rule lets large messages wait until a link is fast enough; small ones go by radio meanwhile. What never finds one comes back.
sites    hq field
weather  calm
seed     46
chat     alternate=tcp hold-over=250 life=1h filter=none

hq     link chat-sat-field down
hq     chat ann to bob@field.test "A long message, which would take its time on the radio: it says all that there is to say about the state of the stores, item by item, and then once more in other words"
hq     chat dan to eve@field.test "Short"
then   within 2m   field hears "Short"
then   hq shows "held: a rule lets it wait for a link of 32000 bit/s"
wait   10m
hq     link chat-sat-field up
then   within 1m   field hears "A long message, which would take its time on the radio: it says all that there is to say about the state of the stores, item by item, and then once more in other words" delayed
hq     link chat-sat-field down
hq     chat ann to bob@field.test "Another long message, which would take its time on the radio: it says all that there is to say about the state of the engines, one by one, and then once more in other words"
then   within 2h   hq gets remote-server-timeout for ann
