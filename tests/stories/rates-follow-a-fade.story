# For half an hour only low rates get through: stations go down to them, and up again afterwards.
sites    hq field
weather  bits_per_second=2400 rates=[300,600,1200,2400] fade=[{at_seconds=10.0,for_seconds=1800.0,bits_per_second_max=600}]
seed     12

wait   10s
hq     mail to=watch@field.test size=20K kind=random "In the fade"
then   within 25m  field has "In the fade"
wait   30m
# At 600 bit/s 60 KB take more than 14 minutes.
hq     mail to=watch@field.test size=60K kind=random "When it is over"
then   within 9m   field has "When it is over"
then   within 10m  everything is delivered
