# The far site keeps silence and senders are told so.
sites    hq ship
silent   ship
weather  calm
seed     40
chat     emcon=refuse

hq     chat ann to captain@ship.test "Nobody will hear"
then   within 1m   hq gets recipient-unavailable for ann
