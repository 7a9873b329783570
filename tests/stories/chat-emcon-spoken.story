# The far site keeps silence and chat is held. She speaks first: that ends it, and nobody has to say so.
sites    hq ship
silent   ship
weather  calm
seed     44
chat     emcon=hold

hq     chat ann to captain@ship.test "Held"
never  within 1h   ship hears "Held"
then   hq shows "held: the far site keeps silence"
ship   chat captain to ann@hq.test "Silence is over"
then   within 5m   hq hears "Silence is over"
then   within 5m   ship hears "Held"
